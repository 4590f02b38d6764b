package yamldoc

import (
	"bytes"
	"maps"
	"testing"
)

// FuzzSet proves that an edit either says that it cannot, or leaves a file that has the
// value and otherwise says what it said.
func FuzzSet(f *testing.F) {
	for _, c := range sets {
		f.Add([]byte(c.in))
	}
	for _, in := range unset {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Set(content, aHost, "beta")
		if err != nil {
			return
		}
		after := said(t, got)
		if after[aHost.ID()] != "!!str beta" {
			t.Fatalf("the host is %q", after[aHost.ID()])
		}
		if want := said(t, content).with(aHost, Flat{aHost.ID(): "!!str beta"}); !maps.Equal(want, after) {
			t.Errorf("the file says %q, want %q", after, want)
		}
		if again, err := Set(got, aHost, "beta"); err != nil || !bytes.Equal(got, again) {
			t.Errorf("a second edit changed %q to %q: %v", got, again, err)
		}
	})
}

// FuzzRemove proves that a removal either says that it cannot, or leaves a file that
// lacks the value and otherwise says what it said.
func FuzzRemove(f *testing.F) {
	for _, c := range removals {
		f.Add([]byte(c.in))
	}
	for _, in := range unremoved {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := Remove(content, beta)
		if err != nil {
			return
		}
		after := said(t, got)
		if after[beta.ID()] != "" {
			t.Fatalf("beta is still %q", after[beta.ID()])
		}
		if want := said(t, content).without(beta); !maps.Equal(want, after) {
			t.Errorf("the file says %q, want %q", after, want)
		}
		if again, err := Remove(got, beta); err != nil || !bytes.Equal(got, again) {
			t.Errorf("a second removal changed %q to %q: %v", got, again, err)
		}
	})
}

// said is what a file says that was read before.
func said(t *testing.T, content []byte) Flat {
	t.Helper()
	root, err := Parse("", content)
	if err != nil {
		t.Fatalf("the edit broke the file: %v", err)
	}
	flat, err := Flatten(root)
	if err != nil {
		t.Fatal(err)
	}
	return flat
}
