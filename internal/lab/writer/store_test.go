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

// TestNextVersionMigrates has the next version take over what the first wrote, in
// a form that the first can't read any more.
func TestNextVersionMigrates(t *testing.T) {
	first := settings{kind: "sqlite", data: t.TempDir()}
	next := first
	next.next = true
	old, err := openStore(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	row := oracle.Row{}.Next("one")
	if err := old.Append(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to migrate
		s, err := openStore(t.Context(), next)
		if err != nil {
			t.Fatal(err)
		}
		row2 := row.Next("two")
		if err := s.Append(t.Context(), row2); err != nil {
			t.Fatal(err)
		}
		row = row2
	}
	s, err := openStore(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := s.Rows(t.Context()); err != nil || len(rows) != 3 {
		t.Errorf("the next version has %v, %v", rows, err)
	}
	again, err := openStore(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	if rows, err := again.Rows(t.Context()); err == nil {
		t.Errorf("the first version reads %v", rows)
	}
}
