package postgres

import (
	"bytes"
	"testing"
)

// TestRowsOfADump: a table that was rewritten meanwhile is not counted, and takes
// nothing from the others.
func TestRowsOfADump(t *testing.T) {
	m := Manifest{Databases: []Database{{Tables: []Table{{Name: "a", Rows: 38}, {Name: "b", Rows: uncounted}}}, {Tables: []Table{{Name: "c", Rows: 4}}}}}
	if got := m.dumped().Rows; got != 42 {
		t.Errorf("%d rows, want 42", got)
	}
}

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
