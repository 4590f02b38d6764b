package keeper_test

import (
	"os"
	"path/filepath"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/finding"
	"salvor/internal/progress"
)

// TestTheCacheHidesNothing: what a remote has lost is missed although this host has copies
// of it, and what has changed there is found by the next reading back and then mended.
func TestTheCacheHidesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, repository, newest string)
		lost   finding.Code // that the next snapshot finds, "" for what only a reading back does
	}{
		"the newest snapshot is deleted": {func(t *testing.T, r, newest string) { must(t, os.Remove(filepath.Join(r, "snapshots", newest))) }, finding.SnapshotRolledBack},
		"all snapshots are deleted":      {func(t *testing.T, r, _ string) { must(t, os.RemoveAll(filepath.Join(r, "snapshots"))) }, finding.HistoryLost},
		"the configuration has changed":  {func(t *testing.T, r, _ string) { agenttest.Flip(t, filepath.Join(r, "config")) }, ""},
		"a key has changed":              {func(t *testing.T, r, _ string) { flipAll(t, r, "keys") }, ""},
		"the indexes have changed":       {func(t *testing.T, r, _ string) { flipAll(t, r, "index") }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, remote := heretest.Host(t), t.TempDir()
			s, k := agenttest.WithRecord(t, h, remote, 1), keeper.New(h)
			defer k.Close(t.Context())
			ids := agenttest.Snapshots(t, s, "one", "two", "three")
			take := func() error {
				_, err := k.Take(t.Context(), s, keeper.Taking{Stopped: true, Force: true, Sink: progress.Discard()})
				return err
			}
			c.change(t, agenttest.RepositoryOn(remote), ids[2])
			if err := take(); (err != nil) != (c.lost != "") {
				t.Fatal(err)
			}
			if c.lost != "" {
				agenttest.Only(t, k.Condition(s.Name).On("offsite").Findings, c.lost)
				return
			}
			_ = k.RereadStack(t.Context(), s, 0) // is noted
			if k.Condition(s.Name).On("offsite").Unread == "" {
				t.Fatal("the reading back has found nothing")
			}
			if err := take(); err != nil {
				t.Fatal(err)
			}
			if err := k.RereadStack(t.Context(), s, 0); err != nil || k.Condition(s.Name).On("offsite").Unread != "" {
				t.Errorf("nothing was mended: %v", err)
			}
			other := heretest.Host(t)
			agenttest.Restore(t, agenttest.WithRecord(t, other, remote, 2))
			if got := agenttest.Note(t, other); got != "three" {
				t.Errorf("restored %q", got)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func flipAll(t *testing.T, repository, kind string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(repository, kind, "*"))
	if err != nil || len(all) == 0 {
		t.Fatal(all, err)
	}
	for _, at := range all {
		agenttest.Flip(t, at)
	}
}
