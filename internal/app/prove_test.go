package app

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/prove"
)

// put makes a restic repository on the fleet's remote.
func (k *keyed) put(id string) {
	k.t.Helper()
	dir := filepath.Join(k.t.TempDir(), id)
	k.do(func(a *App) error {
		known, err := a.sealer().Recovery("notes")
		if err != nil {
			return err
		}
		repo, _ := known.Find(id)
		cmd := exec.CommandContext(k.t.Context(), "restic", "--no-cache", "--repo", dir, "init")
		cmd.Stdin = bytes.NewReader(append(repo.Password.Reveal(), '\n'))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		folder, err := a.Record.Open(k.t.Context(), fleet.Location{Remote: "box", Path: "snapshots/notes/" + id})
		if err != nil {
			return err
		}
		for _, file := range []string{"config", "keys"} {
			err = errors.Join(err, filepath.WalkDir(filepath.Join(dir, file), func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				content, err := os.ReadFile(path)
				if err == nil {
					_, err = folder.Put(k.t.Context(), strings.TrimPrefix(path, dir+"/"), bytes.NewReader(content), int64(len(content)))
				}
				return err
			}))
		}
		return errors.Join(err, folder.Close(k.t.Context()))
	})
}

func TestProveOpensFormerRepositories(t *testing.T) {
	if _, err := exec.LookPath("restic"); err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal(err)
		}
		t.Skip("restic is not installed")
	}
	k := newKeyed(t)
	lock := k.open(k.ann).Lock()
	former := lock.Stacks["notes"].Repositories["offsite"]
	k.put(former)
	k.grant("bob")
	k.do(func(a *App) error { _, err := prepared(a.Keys.PrepareRevoke("bob"))(t.Context()); return err })
	p, err := prove.Prepare(k.open(k.ann).ForProve()).Run(t.Context(), nil)
	if err != nil || p.Repositories != 1 || p.Secrets != 5 {
		t.Errorf("%+v, %v", p, err)
	}
	lock = k.open(k.ann).Lock()
	k.put(lock.Stacks["notes"].Repositories["offsite"])
	if p, err := prove.Prepare(k.open(k.ann).ForProve()).Run(t.Context(), nil); err != nil || p.Repositories != 2 {
		t.Errorf("%+v, %v", p, err)
	}
}
