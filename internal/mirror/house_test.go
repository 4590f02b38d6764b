package mirror

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/fleetkeys/fleetkeystest"
	"salvor/internal/githost"
	"salvor/internal/lockfile"
	"salvor/internal/progress"
	"salvor/internal/reach"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/storage"
)

// A house is a fleet with a stack that is placed on alpha. Its record is encrypted in a folder.
type house struct {
	*fleetkeystest.Fleet
	t    *testing.T
	disk string

	mu    sync.Mutex // guards notes
	notes []string   // that commands made on their way
}

// newHouse has more in fleet.yaml than the remote, "" for nothing.
func newHouse(t *testing.T, more string) *house {
	t.Helper()
	h := &house{t: t, disk: filepath.Join(t.TempDir(), "disk")}
	h.Fleet = fleetkeystest.New(t, map[string]string{
		fleet.File: fmt.Sprintf("hosts:\n  alpha: {address: 192.0.2.10}\nremotes:\n  box: {type: crypt, remote: \"disk:%s\", password: secret:box_password}\n  disk: {type: local}\n%s", h.disk, more),
		fleet.KnownHostsFile: "git.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYyF1RyXQ7i1p4gm4nD8m9hV7oY1yW0Jqv5nS5kqK3d\n" +
			"192.0.2.10 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1eXsy6lnlv0u3K5RpRvYmpPZ0ULK9X3mYLYn3LrYHa\n",
		"stacks/notes/compose.yaml": "x-salvor: {host: alpha}\nservices: {web: {image: \"nginx:1\"}}\n",
	}, map[string]string{"box_password": "of the box", "git_key": "of the Git host"})
	h.place(map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}})
	return h
}

// place commits a lock with these placements.
func (h *house) place(stacks map[string]fleet.Placement) {
	h.t.Helper()
	c := h.OpenKeys(h.t, h.Identity, fleetkeystest.Yes()).Checkout
	lock := c.Lock.Copy()
	lock.Record, lock.Stacks = c.Fleet.Record, stacks
	content, err := lockfile.Encode(lock)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Confirm(h.t, lock)
	h.Commit(h.t, map[string][]byte{lockfile.Name: content})
}

// open is a command of ann's at the newest commit.
func (h *house) open() *Copies {
	h.t.Helper()
	return h.of(h.OpenKeys(h.t, h.Identity, fleetkeystest.Yes()))
}

func (h *house) of(o fleetkeystest.Opened) *Copies {
	sink := progress.SinkFunc(func(e progress.Event) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.notes = append(h.notes, e.Text)
	})
	r := recording.New(o.Checkout, o.Identity, o.Needs, o.Confirmed, o.FleetKeys, storage.Computer{}, sink)
	return New(o.Checkout, o.Identity, o.Needs, o.Confirmed, o.FleetKeys, r, githost.New(o.Checkout, reach.New(o.Checkout, reach.Options{}), githost.Options{}), sink)
}

// renew brings the mirror up to the newest commit, and returns that.
func (h *house) renew() string {
	h.t.Helper()
	c := h.open()
	if err := c.Renew(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return string(c.checkout.Commit)
}

// atMirror fails unless the newest mirror is of this commit.
func (h *house) atMirror(what, want string) {
	h.t.Helper()
	if m, _, err := h.open().Newest(h.t.Context()); err != nil || m.Commit != want {
		h.t.Errorf("%s: the mirror is of commit %q, want %q: %v", what, m.Commit, want, err)
	}
}

// note commits what a file says, with what a command has to commit besides, and pushes.
func (h *house) note(c *Copies, text string) {
	h.t.Helper()
	if err := c.checkout.CommitFiles(h.t.Context(), map[string][]byte{"note.txt": []byte(text)}, "test"); err != nil {
		h.t.Fatal(err)
	}
}

// put writes a file to the record as a host could.
func (h *house) put(path, content string) {
	h.t.Helper()
	h.inRecord(func(f *storage.Folder) error {
		_, err := f.Put(h.t.Context(), path, strings.NewReader(content), int64(len(content)))
		return err
	})
}

// size is that of a file of the record.
func (h *house) size(path string) (size int64) {
	h.t.Helper()
	h.inRecord(func(f *storage.Folder) error {
		o, err := f.Stat(h.t.Context(), path)
		size = o.Size
		return err
	})
	return size
}

func (h *house) inRecord(work func(*storage.Folder) error) {
	h.t.Helper()
	c := h.open()
	folder, err := c.record.Open(h.t.Context(), c.checkout.Fleet.Record)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := errors.Join(work(folder), folder.Close(h.t.Context())); err != nil {
		h.t.Fatal(err)
	}
}

// gone has the remote answer with errors from now on.
func (h *house) gone() {
	h.t.Helper()
	if err := errors.Join(os.RemoveAll(h.disk), os.WriteFile(h.disk, nil, 0o600)); err != nil {
		h.t.Fatal(err)
	}
}

// origin makes a Git host of what the clone has now, and returns its address.
func (h *house) origin() string {
	h.t.Helper()
	address := filepath.Join(h.t.TempDir(), "home.git")
	for _, argv := range [][]string{{"clone", "--quiet", "--bare", h.Dir, address}, {"-C", h.Dir, "remote", "add", "origin", address}} {
		if out, err := exec.CommandContext(h.t.Context(), "git", argv...).CombinedOutput(); err != nil {
			h.t.Fatalf("%v\n%s", err, out)
		}
	}
	return address
}

// mirrors are those of the record, newest first.
func (h *house) mirrors() (all []record.Mirror) {
	h.t.Helper()
	c := h.open()
	trusted, err := c.confirmed.Trusted()
	if err == nil {
		err = c.record.With(h.t.Context(), func(rec *record.Record) (err error) {
			all, _, err = rec.Mirrors(h.t.Context(), trusted)
			return err
		})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}
