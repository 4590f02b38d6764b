package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// withRecord is began where the fleet has a record.
func withRecord(t *testing.T, h *Host, remote string, epoch int) (agentapi.Host, agentapi.Stack) {
	t.Helper()
	spec, st := began(t, h, remote, epoch)
	spec.Record = fleet.Location{Remote: "disk", Path: remote + "/record"}
	if err := h.saveSpec(spec); err != nil {
		t.Fatal(err)
	}
	h.Late = time.Millisecond
	return spec, st
}

func takeFor(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack, content string) string {
	t.Helper()
	v := h.protected(st)[0]
	if h.Snapshots.Marker(st.Name, "data").State != snapshot.MarkedReady {
		if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: h.identity(spec, st, "data"), Epoch: st.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(v.Path, "note"), content)
	r, err := h.take(t.Context(), spec, st, taking{stopped: true, sink: progress.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return r.Snapshot.ID
}

// TestTheNewestSnapshotIsMissed is fault V12: the listing lacks the newest
// snapshot, and another host does not silently take the one before.
func TestTheNewestSnapshotIsMissed(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	takeFor(t, h, spec, st, "one")
	id := takeFor(t, h, spec, st, "two")
	path := filepath.Join(remote, renewed, "aaaa0001", "snapshots", id)
	if err := os.Rename(path, remote+"/hidden"); err != nil {
		t.Fatal(err)
	}

	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	a, err := other.open("alpha", st)
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(other, spec, progress.Discard())
	close(r.restic)
	if _, err := r.fetchNewest(t.Context(), st, a, other.protected(st), nil); !errors.Is(err, errMissing) || !strings.Contains(err.Error(), id[:8]) {
		t.Errorf("fetched: %v", err)
	}
	decided, err := other.decisions(t.Context(), spec, st, a)
	if err != nil || decided["data"].Action != snapshot.Refuse || !strings.Contains(decided["data"].Hint, "--snapshot") {
		t.Errorf("%+v, %v", decided, err)
	}
	if err := os.Rename(remote+"/hidden", path); err != nil {
		t.Fatal(err)
	}
	if fetched, err := r.fetchNewest(t.Context(), st, a, other.protected(st), nil); err != nil || fetched.Info.ID != id {
		t.Errorf("once it is listed: %v", err)
	}
}

// TestARemoteWhoseDiskIsNotMountedIsNoNewRepository is fault V22, on the host
// that took the snapshots and on one that knows only the record.
func TestARemoteWhoseDiskIsNotMountedIsNoNewRepository(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	takeFor(t, h, spec, st, "one")
	if err := os.Rename(filepath.Join(remote, renewed), remote+"/away"); err != nil {
		t.Fatal(err)
	}
	for _, noted := range []bool{true, false} {
		if !noted {
			if err := os.Remove(h.notesPath(st.Name)); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.take(t.Context(), spec, st, taking{force: true, stopped: true, sink: progress.Discard()})
		if err == nil || !strings.Contains(err.Error(), "not mounted") {
			t.Errorf("noted %v: %v", noted, err)
		}
	}
	if _, err := os.Stat(filepath.Join(remote, renewed)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	if k := h.kept(st.Name); len(k.Findings) != 1 || k.Findings[0].Code != "snapshot-missing" {
		t.Errorf("findings %+v", k.Findings)
	}
	r, err := h.take(t.Context(), spec, st, taking{force: true, stopped: true, loss: true, sink: progress.Discard()})
	if err != nil || r.Snapshot.Seq != 2 {
		t.Errorf("with consent: %+v, %v", r, err)
	}
}

// TestTheRecordOpensARepositoryWhoseKeyIsDamaged is fault V7 on a host that never
// saw the repository.
func TestTheRecordOpensARepositoryWhoseKeyIsDamaged(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	id := takeFor(t, h, spec, st, "one")
	keys, err := filepath.Glob(filepath.Join(remote, renewed, "aaaa0001", "keys", "*"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	flipFile(t, keys[0])
	if err := os.Remove(filepath.Join(remote, renewed, "aaaa0001", "config")); err != nil {
		t.Fatal(err)
	}
	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	a, err := other.open("alpha", st)
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(other, spec, progress.Discard())
	close(r.restic)
	if fetched, err := r.fetchNewest(t.Context(), st, a, other.protected(st), nil); err != nil || fetched.Info.ID != id {
		t.Errorf("fetched: %v", err)
	}
}

// TestAReadingBackMissesTheRepository is fault V22's kin: a repository that is gone
// is not one that was never made.
func TestAReadingBackMissesTheRepository(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	if err := h.rereadStack(t.Context(), spec, st, 0); err != nil {
		t.Errorf("before the first snapshot: %v", err)
	}
	takeFor(t, h, spec, st, "one")
	if err := os.Rename(filepath.Join(remote, renewed), remote+"/away"); err != nil {
		t.Fatal(err)
	}
	if err := h.rereadStack(t.Context(), spec, st, 0); !errors.Is(err, snapshot.ErrNoRepository) || h.kept(st.Name).Unread == "" {
		t.Errorf("with the repository gone: %v", err)
	}
}

// TestAFailureIsSaidBesideWarnings: a snapshot that failed is a finding also when
// it warned of something before.
func TestAFailureIsSaidBesideWarnings(t *testing.T) {
	h := newHost(t)
	warning := finding.Finding{Code: finding.SnapshotDamaged, Severity: finding.Warning}
	if err := h.noteTaken("alpha", "notes", time.Now(), agentapi.SnapshotReceipt{}, []finding.Finding{warning}, errors.New("the remote is full")); err != nil {
		t.Fatal(err)
	}
	if k := h.kept("notes"); len(k.Findings) != 2 || k.Findings[1].Code != finding.SnapshotFailed {
		t.Errorf("findings %+v", k.Findings)
	}
}
