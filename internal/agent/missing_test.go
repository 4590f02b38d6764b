package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// withRecord is began where the fleet has a record, with the host's claim on it.
func withRecord(t *testing.T, h *Host, remote string, epoch int) (agentapi.Host, agentapi.Stack) {
	t.Helper()
	spec, st := began(t, h, remote, epoch)
	spec.Record = fleet.Location{Remote: "disk", Path: remote + "/record"}
	if err := h.base().SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	h.Late = time.Millisecond
	signer, err := h.base().EnsureSigning("alpha")
	if err != nil {
		t.Fatal(err)
	}
	heretest.ClaimFor(t, st.Name, remote+"/record", record.Claim{Epoch: epoch, Host: "alpha", Key: h.base().Recipient(), Sign: signer})
	return spec, st
}

func takeFor(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack, content string) string {
	t.Helper()
	v := h.base().At(spec, st).Protected()[0]
	if h.Snapshots.Marker(st.Name, "data").State != snapshot.MarkedReady {
		if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: h.base().At(spec, st).Identity("data"), Epoch: st.Epoch}); err != nil {
			t.Fatal(err)
		}
	}
	heretest.Write(t, filepath.Join(v.Path, "note"), content)
	r, err := h.keeper().Take(t.Context(), h.base().At(spec, st), keeper.Taking{Stopped: true, Sink: progress.Discard()})
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
	path := filepath.Join(remote, heretest.Stack, "aaaa0001", "snapshots", id)
	if err := os.Rename(path, remote+"/hidden"); err != nil {
		t.Fatal(err)
	}

	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := startup.New(other.keeper(), spec, progress.Discard())
	r.Prepared()
	if _, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil); !errors.Is(err, keeper.ErrMissing) || !strings.Contains(err.Error(), id[:8]) {
		t.Errorf("fetched: %v", err)
	}
	decided, err := keeper.ArchiveOf(a).Decisions(t.Context())
	if err != nil || decided["data"].Action != snapshot.Refuse || !strings.Contains(decided["data"].Hint, "--snapshot") {
		t.Errorf("%+v, %v", decided, err)
	}
	if err := os.Rename(remote+"/hidden", path); err != nil {
		t.Fatal(err)
	}
	if fetched, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil); err != nil || fetched.Info.ID != id {
		t.Errorf("once it is listed: %v", err)
	}
}

// lostNewest is a host that comes to a stack whose newest of two snapshots the
// remote has lost.
func lostNewest(t *testing.T) (other *Host, spec agentapi.Host, st agentapi.Stack, older, newest string) {
	t.Helper()
	h, remote := newHost(t), t.TempDir()
	spec, st = withRecord(t, h, remote, 1)
	older, newest = takeFor(t, h, spec, st, "one"), takeFor(t, h, spec, st, "two")
	if err := os.Remove(filepath.Join(remote, heretest.Stack, "aaaa0001", "snapshots", newest)); err != nil {
		t.Fatal(err)
	}
	other = newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	return other, spec, st, older, newest
}

// TestALossThatIsAcceptedRestoresTheNewestThatIsLeft is fault V12: with the consent
// of a recovery the newest snapshot that is there is restored, and it is said what
// is lost. It counts for no stack that ran here already.
func TestALossThatIsAcceptedRestoresTheNewestThatIsLeft(t *testing.T) {
	other, spec, st, older, newest := lostNewest(t)
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		d, err := keeper.ArchiveOf(a).Decisions(t.Context())
		if err != nil || d["data"].Action != snapshot.Refuse || !strings.Contains(d["data"].Hint, "recover with --accept-loss with the newest that is left, "+older[:8]) {
			t.Errorf("%s: %+v, %v", when, d, err)
		}
	}
	refused("without consent")
	st.AcceptLoss, a.AcceptLoss = true, true
	ran := func(epoch int) {
		t.Helper()
		if err := here.WriteJSON(other.Paths.Placement(st.Name), here.Local{Schema: agentapi.Schema, Epoch: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	ran(st.Epoch)
	refused("it ran here at this epoch")
	ran(st.Epoch - 1)

	d, err := keeper.ArchiveOf(a).Decisions(t.Context())
	if err != nil || d["data"].Action != snapshot.Hydrate {
		t.Fatalf("with consent: %+v, %v", d, err)
	}
	r := startup.New(other.keeper(), spec, progress.Discard())
	r.Prepared()
	fetched, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil)
	if err != nil || fetched.Info.ID != older {
		t.Fatalf("fetched %+v, %v", fetched, err)
	}
	found := r.Receipt.Findings
	if len(found) != 1 || found[0].Code != finding.SnapshotRolledBack || !strings.Contains(found[0].Text, newest[:8]) || !strings.Contains(found[0].Text, older[:8]+" of ") || !strings.Contains(found[0].Text, "lost, that is ") {
		t.Errorf("findings %+v", found)
	}
}

// TestAcceptedLossWaitsForATargetThatIsAway: what does not answer may have the
// snapshot.
func TestAcceptedLossWaitsForATargetThatIsAway(t *testing.T) {
	other, spec, st, _, _ := lostNewest(t)
	st.AcceptLoss = true
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	away := st.Targets[0]
	away.Name, away.Where.Remote = "away", "none"
	a.Targets = append(a.Targets, away)
	if _, err := keeper.ArchiveOf(a).ListForRestore(t.Context()); !errors.Is(err, keeper.ErrMissing) || !a.Access.GivenUp.Zero() {
		t.Errorf("found: %v, given up %+v", err, a.Access.GivenUp)
	}
}

// TestAMissingSnapshotHasARow: what is known and not listed is shown by snapshot ls
// and is a finding of status, on a host that never saw it.
func TestAMissingSnapshotHasARow(t *testing.T) {
	other, spec, st, older, newest := lostNewest(t)
	if err := other.base().SaveSpec(spec); err != nil {
		t.Fatal(err)
	}
	list, err := other.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: st.Name}, progress.Discard())
	if err != nil || len(list.Snapshots) != 2 || list.Snapshots[0].ID != older || list.Snapshots[0].Missing {
		t.Fatalf("listed %+v, %v", list, err)
	}
	if row := list.Snapshots[1]; row.ID != newest || !row.Missing || row.Damaged == "" || row.Seq != 2 || row.Began.IsZero() {
		t.Errorf("the missing one is %+v", row)
	}
}

// TestStatusNamesAMissingSnapshot: a snapshot that is known and not listed is a
// finding, also while the stack runs well.
func TestStatusNamesAMissingSnapshot(t *testing.T) {
	l := newLived(t)
	l.run()
	status := func() string {
		t.Helper()
		state, err := l.Status(t.Context(), agentapi.Observe{}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		return codes(state.Findings)
	}
	if found := status(); strings.Contains(found, "missing") {
		t.Errorf("while it is there: %s", found)
	}
	if err := os.Remove(filepath.Join(l.remote, heretest.Stack, "aaaa0001", "snapshots", l.old.Snapshot.ID)); err != nil {
		t.Fatal(err)
	}
	if found := status(); strings.Count(found, "snapshot-history-lost")+strings.Count(found, "snapshot-rolled-back") != 1 {
		t.Errorf("once it is gone: %s", found)
	}
}

// TestARemoteWhoseDiskIsNotMountedIsNoNewRepository is fault V22, on the host
// that took the snapshots and on one that knows only the record.
func TestARemoteWhoseDiskIsNotMountedIsNoNewRepository(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	takeFor(t, h, spec, st, "one")
	if err := os.Rename(filepath.Join(remote, heretest.Stack), remote+"/away"); err != nil {
		t.Fatal(err)
	}
	for _, noted := range []bool{true, false} {
		if !noted {
			if err := os.Remove(keeper.ArchiveOf(h.base().At(spec, st)).NotesPath()); err != nil {
				t.Fatal(err)
			}
		}
		_, err := h.keeper().Take(t.Context(), h.base().At(spec, st), keeper.Taking{Force: true, Stopped: true, Sink: progress.Discard()})
		if err == nil || !strings.Contains(err.Error(), "not mounted") {
			t.Errorf("noted %v: %v", noted, err)
		}
	}
	if _, err := os.Stat(filepath.Join(remote, heretest.Stack)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
	if k := h.keeper().Condition(st.Name); len(k.Findings) != 1 || k.Findings[0].Code != finding.HistoryLost {
		t.Errorf("findings %+v", k.Findings)
	}
	r, err := h.keeper().Take(t.Context(), h.base().At(spec, st), keeper.Taking{Force: true, Stopped: true, Loss: true, Sink: progress.Discard()})
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
	keys, err := filepath.Glob(filepath.Join(remote, heretest.Stack, "aaaa0001", "keys", "*"))
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	flipFile(t, keys[0])
	if err := os.Remove(filepath.Join(remote, heretest.Stack, "aaaa0001", "config")); err != nil {
		t.Fatal(err)
	}
	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	a, err := other.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	r := startup.New(other.keeper(), spec, progress.Discard())
	r.Prepared()
	if fetched, err := r.On(a).FetchNewest(t.Context(), other.base().At(spec, st).Protected(), nil); err != nil || fetched.Info.ID != id {
		t.Errorf("fetched: %v", err)
	}
}

// TestAReadingBackMissesTheRepository is fault V22's kin: a repository that is gone
// is not one that was never made.
func TestAReadingBackMissesTheRepository(t *testing.T) {
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	if err := h.keeper().RereadStack(t.Context(), h.base().At(spec, st), 0); err != nil {
		t.Errorf("before the first snapshot: %v", err)
	}
	takeFor(t, h, spec, st, "one")
	if err := os.Rename(filepath.Join(remote, heretest.Stack), remote+"/away"); err != nil {
		t.Fatal(err)
	}
	if err := h.keeper().RereadStack(t.Context(), h.base().At(spec, st), 0); !errors.Is(err, snapshot.ErrNoRepository) || h.keeper().Condition(st.Name).Unread == "" {
		t.Errorf("with the repository gone: %v", err)
	}
}

// TestAFailureIsSaidBesideWarnings: a snapshot that failed is a finding also when
// it warned of something before.
func TestAFailureIsSaidBesideWarnings(t *testing.T) {
	h := newHost(t)
	warning := finding.Finding{Code: finding.SnapshotDamaged, Severity: finding.Warning}
	if err := h.keeper().NoteTaken("alpha", "notes", time.Now(), agentapi.SnapshotReceipt{}, []finding.Finding{warning}, errors.New("the remote is full")); err != nil {
		t.Fatal(err)
	}
	if k := h.keeper().Condition("notes"); len(k.Findings) != 2 || k.Findings[1].Code != finding.SnapshotFailed {
		t.Errorf("findings %+v", k.Findings)
	}
}
