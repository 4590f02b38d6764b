package agent

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// A move whose target never came up is moved on, or back: there is nothing to
// wait for on a host that never started the stack.
func TestReleaseOfAStackThatNeverStarted(t *testing.T) {
	dir := t.TempDir()
	h := &Host{Paths: hostpath.Layout{Config: filepath.Join(dir, "etc"), State: filepath.Join(dir, "state"), Run: filepath.Join(dir, "run")}}
	if err := h.base().SaveLocal("notes", here.Local{Epoch: 2}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		receipt, err := h.Release(t.Context(), agentapi.Release{Stack: "notes", Epoch: 3}, nil)
		if err != nil || !receipt.Skipped {
			t.Errorf("release: %+v, %v", receipt, err)
		}
	}
	if _, err := h.Release(t.Context(), agentapi.Release{Stack: "notes", Epoch: 2}, nil); err == nil {
		t.Error("a stack that started here at that epoch, but is not in the host's part of the fleet, was let go of without a snapshot")
	}
}

// TestAFinalSnapshotIsKnownToBeProven: while the record remote takes no note of the final snapshot, the
// next host would restore the one before it. So the stack stays. What the record lacks is made up for by the
// next snapshot, also one that finds nothing new.
func TestAFinalSnapshotIsKnownToBeProven(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	var full atomic.Bool
	l.recorded(t, &full)
	before := l.Take().Snapshot.ID
	other := agenttest.WithRecord(t, heretest.Host(t), l.Remote, 2)
	restores := func(want string) {
		t.Helper()
		if fetched, _, err := agenttest.Fetch(t, other); err != nil || fetched.Info.ID != want {
			t.Errorf("another host restores %+v, %v, want %.8s", fetched, err, want)
		}
	}
	restores(before)

	full.Store(true)
	heretest.Write(t, l.Note, "its last words")
	r, err := l.agent().Release(t.Context(), agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard())
	if err == nil || !strings.Contains(err.Error(), "stays on alpha") || !strings.Contains(err.Error(), "no space left") || r.Snapshot.ID == before {
		t.Errorf("released with %.8s: %v", r.Snapshot.ID, err)
	}
	if l.Image() == "" || l.Local(heretest.Stack).ReleasedAt(1) {
		t.Error("it does not run on")
	}
	unknown := l.Take().Snapshot.ID // which is good, for this host
	restores(before)

	full.Store(false)
	if again := l.Take(); !again.Skipped {
		t.Errorf("%+v: nothing has changed", again)
	}
	restores(unknown)
	final, err := l.agent().Release(t.Context(), agentapi.Release{Stack: heretest.Stack, Epoch: 1}, progress.Discard())
	if err != nil {
		t.Error(err)
	}
	restores(final.Snapshot.ID)
}

// recorded gives the host a record remote, which takes no notes of proven snapshots while full is set.
func (l *lived) recorded(t *testing.T, full *atomic.Bool) {
	t.Helper()
	l.Edges.Folders = func(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		folder, err := storage.Open(ctx, remotes, where)
		return unprovable{folder, full}, err
	}
	signer, err := l.EnsureSigning("alpha")
	if err != nil {
		t.Fatal(err)
	}
	l.Spec.Record = fleet.Location{Remote: "disk", Path: l.Remote + "/record"}
	heretest.ClaimFor(t, heretest.Stack, l.Spec.Record.Path, record.Claim{Epoch: 1, Host: "alpha", Key: l.Recipient(), Sign: signer})
	l.Run() // what the host was asked to be
}

// unprovable is a folder to which no note about a proven snapshot can be written, once full is set.
type unprovable struct {
	record.Folder
	full *atomic.Bool
}

func (u unprovable) Put(ctx context.Context, path string, content io.Reader, size int64) (blob.Proof, error) {
	if u.full.Load() && strings.HasPrefix(path, "proven/") {
		return blob.Proof{}, errors.New("no space left")
	}
	return u.Folder.Put(ctx, path, content, size)
}
