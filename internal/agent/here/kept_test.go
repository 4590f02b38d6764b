package here

import (
	"context"
	"errors"
	"testing"
	"time"

	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// folder is a place whose closing is counted.
type folder struct {
	blobtest.Memory
	closed chan struct{}
}

// Close implements record.Folder.
func (f *folder) Close(context.Context) error {
	close(f.closed)
	return nil
}

// TestWhatIsKeptOpen: a place is opened once, and again where it may be another one by now.
func TestWhatIsKeptOpen(t *testing.T) {
	t.Parallel()
	with := func(password string) storage.Remotes {
		return storage.Remotes{"nas": {Type: "webdav", Options: map[string]secret.Value{"pass": secret.NewString(password)}}}
	}
	for name, c := range map[string]struct {
		between func(f record.Folder, made *folder)
		later   time.Duration
		then    storage.Remotes
		again   bool
	}{
		"nothing has changed":  {then: with("a")},
		"another credential":   {then: with("b"), again: true},
		"after an hour":        {then: with("a"), later: time.Hour, again: true},
		"its folder was empty": {then: with("a"), between: func(f record.Folder, _ *folder) { _, _ = f.List(t.Context(), "keys") }, again: true},
		"it has failed": {then: with("a"), again: true, between: func(f record.Folder, made *folder) {
			made.Fail = func(string, string) error { return errors.New("no answer") }
			_, _ = f.Stat(t.Context(), "config")
		}},
		"something was missing": {then: with("a"), between: func(f record.Folder, _ *folder) { _, _ = f.Stat(t.Context(), "config") }},
	} {
		now, opened := time.Now(), []*folder{}
		h := &Host{Edges: Edges{
			Now: func() time.Time { return now },
			Folders: func(context.Context, storage.Remotes, fleet.Location) (record.Folder, error) {
				opened = append(opened, &folder{closed: make(chan struct{})})
				return opened[len(opened)-1], nil
			},
		}}
		k, where := KeepOpen(h), fleet.Location{Remote: "nas", Path: "snapshots/notes"}
		first, err := k.Open(t.Context(), with("a"), where)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if c.between != nil {
			c.between(first, opened[0])
		}
		now = now.Add(c.later)
		if _, err := k.Open(t.Context(), c.then, where); err != nil {
			t.Fatal(err)
		}
		if (len(opened) == 2) != c.again {
			t.Errorf("%s: opened %d times", name, len(opened))
		}
		k.Close(t.Context())
		for _, f := range opened {
			<-f.closed
		}
	}
}
