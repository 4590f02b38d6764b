package secretstore

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRemovals(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8, time.UTC)
	var all Removals
	all = all.With(Removal{Operator: "bob", At: at, Secrets: []string{"token", "blog/DB", "token"}})
	all = all.With(Removal{Host: "alpha", At: at, Secrets: []string{"token"}})
	if all = all.With(Removal{Host: "beta", At: at}); len(all) != 2 {
		t.Errorf("a host that has seen nothing is kept: %+v", all)
	}
	content, err := all.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := DecodeRemovals(content)
	if diff := cmp.Diff(all, again); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if of := all.Of("token"); len(of) != 2 || of[0].String() != "bob, removed on 2026-03-04" || of[1].String() != "the host alpha, removed on 2026-03-04" {
		t.Errorf("of token: %v", of)
	}
	left, changed := all.Without("token")
	if want := (Removals{{Operator: "bob", At: at.Truncate(time.Second), Secrets: []string{"blog/DB"}}}); !changed || cmp.Diff(want, left) != "" {
		t.Errorf("without token: %+v", left)
	}
	if _, changed := left.Without("other"); changed {
		t.Error("a secret that nobody saw changed them")
	}
	left, _ = left.Without("blog/DB")
	if content, err := left.Encode(); err != nil || content != nil {
		t.Errorf("nothing left is a file: %s, %v", content, err)
	}
	if len(all[0].Secrets) != 2 {
		t.Error("the removals given were changed")
	}
}

func TestDecodeRemovalsRefuses(t *testing.T) {
	for name, content := range map[string]string{
		"no schema":      `{"removals": []}`,
		"a newer one":    `{"schema": 2}`,
		"unknown key":    `{"schema": 1, "removed": []}`,
		"nobody":         `{"schema": 1, "removals": [{"at": "2026-03-04T05:06:07Z", "secrets": ["a"]}]}`,
		"two at once":    `{"schema": 1, "removals": [{"operator": "bob", "host": "alpha", "at": "2026-03-04T05:06:07Z", "secrets": ["a"]}]}`,
		"no time":        `{"schema": 1, "removals": [{"operator": "bob", "secrets": ["a"]}]}`,
		"nothing seen":   `{"schema": 1, "removals": [{"operator": "bob", "at": "2026-03-04T05:06:07Z", "secrets": []}]}`,
		"a strange name": `{"schema": 1, "removals": [{"operator": "../bob", "at": "2026-03-04T05:06:07Z", "secrets": ["a"]}]}`,
		"two documents":  `{"schema": 1}{"schema": 1}`,
		"no JSON":        `removals: []`,
	} {
		if got, err := DecodeRemovals([]byte(content)); err == nil {
			t.Errorf("%s: read as %+v", name, got)
		}
	}
}

func FuzzRemovals(f *testing.F) {
	f.Add([]byte(`{"schema": 1, "removals": [{"key": "ann", "at": "2026-03-04T05:06:07Z", "secrets": ["a", "b/C"]}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		all, err := DecodeRemovals(content)
		if err != nil {
			return
		}
		once, err := all.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := DecodeRemovals(once)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if twice, err := again.Encode(); err != nil || !bytes.Equal(once, twice) {
			t.Errorf("not deterministic: %v", err)
		}
	})
}
