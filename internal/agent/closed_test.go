package agent

import (
	"io/fs"
	"path/filepath"
	"testing"

	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
)

// TestS10WhatSalvordMakesIsClosedToOtherUsers: of all that a host makes while it
// deploys, takes snapshots, restores and reads Git, other users of the host can
// read nothing, whatever becomes of the folders above.
func TestS10WhatSalvordMakesIsClosedToOtherUsers(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	l.Wish("back")
	if receipt := l.Apply(); receipt.Error != nil {
		t.Fatal(receipt.Error)
	}
	l.Take()
	ownership.New(l.Host, ownership.AskWithin).Verdicts(t.Context(), agentapi.Host{Name: "alpha", Git: agentapi.Git{URL: t.TempDir()}, Stacks: []agentapi.Stack{l.Stack}})
	for _, root := range []string{l.Paths.State, l.Paths.Config, l.Paths.Run} {
		seen := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || path == root {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			seen++
			if info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", path, info.Mode())
			}
			if path == l.Paths.GitCopy() || path == filepath.Join(l.Paths.State, "cache") {
				return fs.SkipDir // go-git and restic have modes of their own below
			}
			return nil
		})
		if err != nil || seen == 0 {
			t.Errorf("%s: %d entries, %v", root, seen, err)
		}
	}
}
