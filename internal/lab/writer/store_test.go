package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/lab/oracle"
)

// TestStores is the law of stores without a server; Postgres is tried on a lab
// host.
func TestStores(t *testing.T) {
	for _, kind := range []string{"sqlite", "files"} {
		t.Run(kind, func(t *testing.T) {
			s := settings{kind: kind, data: t.TempDir()}
			first, err := openStore(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			var want []oracle.Row
			var head oracle.Row
			for range 12 {
				head = head.Next(noise(50))
				want = append(want, head)
				if err := first.Append(t.Context(), head); err != nil {
					t.Fatal(err)
				}
			}
			again, err := openStore(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			got, err := again.Rows(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
