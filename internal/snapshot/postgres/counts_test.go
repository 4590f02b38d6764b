package postgres

import (
	"bytes"
	"testing"
)

func FuzzParseCounts(f *testing.F) {
	f.Add([]byte("[\"public.a\", 12]\n[\"public.\\\"b\\nc\\\"\",0]\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		tables, err := parseCounts(bytes.NewReader(out))
		for _, table := range tables {
			if err == nil && table.Rows < uncounted {
				t.Errorf("%+v", table)
			}
		}
	})
}
