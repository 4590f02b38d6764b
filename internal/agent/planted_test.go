package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
)

// TestS03ARepositoryThatWentBackIsNotBelieved: the remote has an older copy of the
// repository. Status and plan say so, no snapshot is taken and none restored, until
// the operator gives up what is lost.
func TestS03ARepositoryThatWentBackIsNotBelieved(t *testing.T) {
	t.Parallel()
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	takeFor(t, h, spec, st, "one")
	newest := takeFor(t, h, spec, st, "two")
	if err := os.Remove(filepath.Join(remote, heretest.Stack, "aaaa0001", "snapshots", newest)); err != nil {
		t.Fatal(err)
	}
	state, err := h.Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if f := only(t, state.Findings, finding.SnapshotRolledBack); f.Severity != finding.Fatal || f.Subject != "alpha/"+st.Name || f.Stack != st.Name {
		t.Errorf("status says %+v", f)
	}
	again := keeper.Taking{Force: true, Stopped: true, Sink: progress.Discard()}
	if _, err := h.keeper().Take(t.Context(), h.base().At(spec, st), again); err == nil || !strings.Contains(err.Error(), newest[:8]) {
		t.Errorf("taken: %v", err)
	}
	if f := only(t, h.keeper().HistoryNoted(h.base().At(spec, st)), finding.SnapshotRolledBack); f.Severity != finding.Fatal {
		t.Errorf("a plan says %+v", f)
	}
	fresh := st
	fresh.Consent = project.ConsentFresh
	if found := h.keeper().HistoryNoted(h.base().At(spec, fresh)); len(found) != 0 {
		t.Errorf("started fresh, a plan says %+v", found)
	}
	again.Loss = true
	if r, err := h.keeper().Take(t.Context(), h.base().At(spec, st), again); err != nil || r.Snapshot.Seq != 3 {
		t.Errorf("with consent: %+v, %v", r, err)
	}
	again.Loss = false
	if _, err := h.keeper().Take(t.Context(), h.base().At(spec, st), again); err != nil || len(h.keeper().HistoryNoted(h.base().At(spec, st))) != 0 {
		t.Errorf("afterwards: %v, %+v", err, h.keeper().HistoryNoted(h.base().At(spec, st)))
	}
}

// TestS03TheLockRemembersWhatTheRemotesForgot: who can delete on the remotes has
// removed the snapshots and what the record said of them. A host that never saw them
// has it from the lock.
func TestS03TheLockRemembersWhatTheRemotesForgot(t *testing.T) {
	t.Parallel()
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	older, newest := takeFor(t, h, spec, st, "one"), takeFor(t, h, spec, st, "two")
	for _, path := range []string{remote + "/record/proven", filepath.Join(remote, heretest.Stack, "aaaa0001", "snapshots", newest)} {
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		locked map[string]fleet.Proven
		want   error
	}{
		"in the lock":     {map[string]fleet.Proven{"aaaa0001": {Epoch: 1, Seq: 2, ID: newest}}, keeper.ErrMissing},
		"of a later time": {map[string]fleet.Proven{"aaaa0001": {Epoch: 9, Seq: 2, ID: newest}}, nil},
	} {
		other := newHost(t)
		spec, st := withRecord(t, other, remote, 2)
		st.Proven = c.locked
		info, err := newestFor(t, other, spec, st)
		if c.want != nil && !strings.Contains(errText(err), c.want.Error()) || c.want == nil && (err != nil || info != older) {
			t.Errorf("%s: %s, %v", name, info, err)
		}
	}
}

// TestS13APlantedSnapshotIsNotRestored: a host that lost the stack, and still has the
// remote's credential and the password, puts snapshots there, each in its way newer
// than the one that was proven. None is restored.
func TestS13APlantedSnapshotIsNotRestored(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		epoch, seq int
		code       finding.Code
	}{
		"a later epoch":        {999, 1, finding.SnapshotFuture},
		"the next epoch":       {2, 1, finding.SnapshotUnproven},
		"a far number":         {1, 1 << 29, finding.SnapshotUnproven},
		"the very next number": {1, 3, finding.SnapshotUnproven},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, remote := newHost(t), t.TempDir()
			spec, st := withRecord(t, h, remote, 1)
			takeFor(t, h, spec, st, "one")
			newest := takeFor(t, h, spec, st, "two")
			planted := plant(t, remote, c.epoch, c.seq)

			other := newHost(t)
			spec, st = withRecord(t, other, remote, 2)
			if info, err := newestFor(t, other, spec, st); err != nil || info != newest {
				t.Errorf("restored %.8s, %v, want %.8s", info, err, newest)
			}
			state, err := other.Status(t.Context(), agentapi.Observe{}, progress.Discard())
			if err != nil {
				t.Fatal(err)
			}
			if f := only(t, state.Findings, c.code); !strings.Contains(f.Text, planted[:8]) {
				t.Errorf("status says %+v", f)
			}
			list, err := other.ListSnapshots(t.Context(), agentapi.Snapshots{Stack: st.Name}, progress.Discard())
			if err != nil || !slices.ContainsFunc(list.Snapshots, func(r agentapi.SnapshotRow) bool {
				return r.ID == planted && r.Future == (c.code == finding.SnapshotFuture) && r.Unproven == (c.code == finding.SnapshotUnproven)
			}) {
				t.Errorf("listed %+v, %v", list.Snapshots, err)
			}
			mine := takeFor(t, other, spec, st, "three")
			if info, err := newestFor(t, other, spec, st); err != nil || info != mine {
				t.Errorf("after a snapshot of its own: %.8s, %v, want %.8s", info, err, mine)
			}
		})
	}
}

// TestS13ASilentRecordProvesNothing: a snapshot that is newer than what is known to be
// proven is not chosen, and nothing older either, while the record can't be asked.
func TestS13ASilentRecordProvesNothing(t *testing.T) {
	t.Parallel()
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	older := takeFor(t, h, spec, st, "one")
	takeFor(t, h, spec, st, "two")
	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	spec.Record.Remote = "none"
	st.Proven = map[string]fleet.Proven{"aaaa0001": {Epoch: 1, Seq: 1, ID: older}}
	if info, err := newestFor(t, other, spec, st); err == nil {
		t.Errorf("restored %s", info)
	}
}

// TestS13ARecordOfALaterEpochProvesNothing: a note on the record remote whose epoch the
// placement has not reached hides none of those that count.
func TestS13ARecordOfALaterEpochProvesNothing(t *testing.T) {
	t.Parallel()
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 1)
	newest := takeFor(t, h, spec, st, "one")
	forged := filepath.Join(remote, "record", "proven", st.Name, "999-1-aaaa0001-"+strings.Repeat("f", 64)+".json")
	if err := os.WriteFile(forged, []byte(`{"schema":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	other := newHost(t)
	spec, st = withRecord(t, other, remote, 2)
	if info, err := newestFor(t, other, spec, st); err != nil || info != newest {
		t.Errorf("restored %s, %v", info, err)
	}
}

// TestS05AForgedNoteHidesNoSnapshot: a host that lost the stack notes on the record that
// snapshots of its own are the newest, signed by its key or not at all. The one that the
// stack's host proved is restored, and each note is a finding.
func TestS05AForgedNoteHidesNoSnapshot(t *testing.T) {
	t.Parallel()
	h, remote := newHost(t), t.TempDir()
	spec, st := withRecord(t, h, remote, 2)
	newest := takeFor(t, h, spec, st, "one")
	dir := "proven/" + st.Name + "/"
	forged := map[string]string{dir + "2-9-aaaa0001-" + strings.Repeat("e", 64) + ".json": `{"schema":1,"at":"2026-01-02T03:04:05Z"}`}
	thief := dir + "2-8-aaaa0001-" + strings.Repeat("f", 64) + ".json"
	signed, err := heretest.NewKey().Enclose(record.ProvenKind, thief, []byte(`{"schema":1,"at":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	forged[thief] = string(signed)
	forged["facts/"+st.Name+"/3-9-alpha.json"] = `{"schema":1,"host":"alpha","at":"2026-01-02T03:04:05Z"}`
	if err := os.MkdirAll(filepath.Join(remote, "record", "facts", st.Name), 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range forged {
		heretest.Write(t, filepath.Join(remote, "record", path), content)
	}
	other := newHost(t)
	spec, st = withRecord(t, other, remote, 3)
	if info, err := newestFor(t, other, spec, st); err != nil || info != newest {
		t.Errorf("restored %s, %v", info, err)
	}
	state, err := other.Status(t.Context(), agentapi.Observe{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, f := range state.Findings {
		if f.Code == finding.RecordIgnored {
			named = append(named, f.Subject)
		}
	}
	if slices.Sort(named); !slices.Equal(named, slices.Sorted(maps.Keys(forged))) {
		t.Errorf("status names %q", named)
	}
}

// TestS05AHostSignsWithAKeyOfItsOwn: it is made once at enrolment, and no other user of
// the host reads it.
func TestS05AHostSignsWithAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &Host{Paths: hostpath.Layout{Config: dir + "/etc", State: dir, Run: dir}}
	first, err := h.Enrol(t.Context(), agentapi.Enrol{Host: "alpha"}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Enrol(t.Context(), agentapi.Enrol{Host: "alpha"}, progress.Discard())
	if err != nil || again != first || (sign.Keys{first.Signer}).Check() != nil || h.base().Signer() != first.Signer {
		t.Errorf("enrolled as %+v, then %+v, %v", first, again, err)
	}
	if info, err := os.Stat(h.Paths.SigningKey()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(h.Paths.SigningKey(), 0o644); err != nil {
		t.Fatal(err)
	}
	if key, err := h.base().Signing(); err == nil {
		t.Errorf("a key that others read signs as %s", key.Public())
	}
}

// newestFor is the snapshot that a host would restore.
func newestFor(t *testing.T, h *Host, spec agentapi.Host, st agentapi.Stack) (string, error) {
	t.Helper()
	a, err := h.base().At(spec, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	listed, err := keeper.ArchiveOf(a).ListForRestore(t.Context())
	if err != nil {
		return "", err
	}
	return keeper.Candidates(listed)[0].Info.ID, nil
}

// plant takes a snapshot with numbers of its own into the repository, as root on
// another host can.
func plant(t *testing.T, remote string, epoch, seq int) string {
	t.Helper()
	thief := newHost(t)
	st := heretest.Sealed(t, thief.base(), remote, epoch, "aaaa0001")
	v := thief.base().At(agentapi.Host{Name: "alpha"}, st).Protected()[0]
	if err := thief.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: "x", Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, filepath.Join(v.Path, "note"), "planted")
	a, err := thief.base().At(agentapi.Host{Name: "alpha"}, st).Open()
	if err != nil {
		t.Fatal(err)
	}
	repo, err := a.Access.Repository(t.Context(), st.Name, st.Targets[0])
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close(t.Context())
	result, err := thief.Snapshots.Take(t.Context(), snapshot.Job{
		Fleet: "home", Stack: st.Name, Host: "alpha", Epoch: epoch, Repository: repo.Repository, Volumes: thief.base().At(agentapi.Host{Name: "alpha"}, st).Protected(),
		Stopped: true, Force: true, AcceptShrunk: true, AcceptLoss: true, After: snapshot.Mark{Epoch: epoch, Seq: seq - 1},
	})
	if err != nil || result.Snapshot.ID == "" || result.Snapshot.Seq != seq {
		t.Fatal(result, err)
	}
	return result.Snapshot.ID
}

func only(t *testing.T, found []finding.Finding, code finding.Code) finding.Finding {
	t.Helper()
	of := slices.DeleteFunc(slices.Clone(found), func(f finding.Finding) bool { return f.Code != code })
	if len(of) != 1 {
		t.Fatalf("%d findings %s in %+v", len(of), code, found)
	}
	return of[0]
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
