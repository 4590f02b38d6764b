package remote

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/blob"
	"salvor/internal/storage"
)

func always(context.Context, string) error { return nil }

func put(t *testing.T, f *Folder, path, content string) error {
	t.Helper()
	_, err := f.Put(t.Context(), path, strings.NewReader(content), int64(len(content)))
	return err
}

func get(t *testing.T, f *Folder, path string) (string, error) {
	t.Helper()
	body, err := f.Get(t.Context(), path, 0, -1)
	if err != nil {
		return "", err
	}
	content, err := io.ReadAll(body)
	return string(content), err
}

// TestWhatIsAcknowledgedIsKept, and what is refused is not.
func TestWhatIsAcknowledgedIsKept(t *testing.T) {
	t.Parallel()
	r := New()
	f := r.Open("at", always)
	if err := put(t, f, "a", "one"); err != nil {
		t.Fatal(err)
	}
	r.Set(Faults{Full: true})
	if err := put(t, f, "a", "two"); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	if err := put(t, f, "b", "two"); !errors.Is(err, ErrFull) {
		t.Errorf("full: %v", err)
	}
	r.Set(Faults{})
	if got, err := get(t, f, "a"); got != "one" || err != nil {
		t.Errorf("it has %q, %v", got, err)
	}
	if _, err := get(t, f, "b"); !errors.Is(err, blob.ErrNotExist) {
		t.Errorf("it kept what it refused: %v", err)
	}
}

// TestAnEdgeDecidesWhetherACallHappened: refused before, it did not; refused after, it did.
func TestAnEdgeDecidesWhetherACallHappened(t *testing.T) {
	t.Parallel()
	killed := errors.New("killed")
	for name, happens := range map[string]bool{"before": false, "after": true} {
		r, asked := New(), 0
		err := put(t, r.Open("at", func(context.Context, string) error {
			if asked++; happens == (asked == 2) {
				return killed
			}
			return nil
		}), "a", "one")
		_, kept := get(t, r.Calm("at"), "a")
		if !errors.Is(err, killed) || (kept == nil) != happens {
			t.Errorf("%s: %v, then %v", name, err, kept)
		}
	}
}

// TestFaults: calls are counted, and what is stored or read is what the fault says.
func TestFaults(t *testing.T) {
	t.Parallel()
	r := New()
	f := r.Open("at", always)
	for _, p := range []string{"data/0f/0fa", "index/1", "claims/1"} {
		if err := put(t, f, p, "content"); err != nil {
			t.Fatal(err)
		}
	}
	away := func(what string, faults Faults, paths ...string) {
		t.Helper()
		r.Set(faults)
		for i, p := range paths {
			if _, err := get(t, f, p); errors.Is(err, storage.ErrUnreachable) != (i == len(paths)-1) {
				t.Errorf("%s: %d, %s: %v", what, i, p, err)
			}
		}
	}
	away("cut", Faults{Cut: 2}, "index/1", "index/1", "index/1")
	away("lame", Faults{Lame: 2}, "data/0f/0fa", "index/1", "data/0f/0fa")
	away("after it was lame", r.faults, "index/1")
	r.Set(Faults{Rot: 2})
	for i, whole := range []bool{true, false, true} {
		if got, err := get(t, f, "data/0f/0fa"); (got == "content") != whole || len(got) != len("content") || err != nil {
			t.Errorf("read %d of a pack is %q, %v", i, got, err)
		}
	}
	r.Set(Faults{Torn: 2})
	for _, p := range []string{"claims/2", "index/2", "index/3"} {
		if err := put(t, f, p, "content"); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
	for p, want := range map[string]string{"claims/2": "content", "index/2": "content", "index/3": "con"} {
		if got, err := get(t, r.Calm("at"), p); got != want || err != nil {
			t.Errorf("%s is %q, %v", p, got, err)
		}
	}
}

// TestALateObjectIsThereBeforeItIsListed.
func TestALateObjectIsThereBeforeItIsListed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New()
		f := r.Open("at", always)
		r.Set(Faults{Late: time.Minute})
		if err := put(t, f, "a", "one"); err != nil {
			t.Fatal(err)
		}
		listed := func(f *Folder) int {
			all, err := f.List(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			return len(all)
		}
		if got, err := get(t, f, "a"); got != "one" || err != nil || listed(f) != 0 || listed(r.Calm("at")) != 1 {
			t.Errorf("at once: %q, %v, %d listed", got, err, listed(f))
		}
		if <-time.After(time.Minute); listed(f) != 1 {
			t.Error("it is never listed")
		}
	})
}
