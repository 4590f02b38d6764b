package keeper

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/storage"
)

// TestABirthIsReportedUntilTheRecordHasIt: the host lost its power, or the remote, between
// the start of a new stack and its report.
func TestABirthIsReportedUntilTheRecordHasIt(t *testing.T) {
	t.Parallel()
	remote := t.TempDir()
	g := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: g.Recipient(), Sign: g.Signer()})
	g.Snapshots.Dirs = g.Paths
	g.Spec.Stacks[0].Volumes = []project.Volume{{Name: "data", Protect: fleet.Snapshot, Path: t.TempDir()}}
	marker, err := json.Marshal(snapshot.Marker{Schema: fleet.Schema, Epoch: 1, State: snapshot.MarkedReady, At: time.Unix(5, 0)})
	if err != nil {
		t.Fatal(err)
	}
	at := g.Paths.Marker(heretest.Notes, snapshot.DirName("data"))
	if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
		t.Fatal(err)
	}
	heretest.Write(t, at, string(marker))
	s, err := g.At(g.Spec, g.Spec.Stacks[0]).Open()
	if err = errors.Join(err, g.SaveLocal(heretest.Notes, here.Local{Epoch: 1})); err != nil {
		t.Fatal(err)
	}
	reports := func() int {
		folder, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: remote})
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close(t.Context())
		facts, ignored, err := record.New(folder).Trusting(heretest.FleetTrust()).Facts(t.Context(), heretest.Notes, 1)
		if err != nil || len(ignored) > 0 || len(facts) > 0 && !facts[0].Born["data"].Equal(time.Unix(5, 0)) {
			t.Fatalf("%+v, %+v, %v", facts, ignored, err)
		}
		return len(facts)
	}
	k := New(g.Host)
	s.Spec.Record.Path = "/dev/null/away"
	if err := (report{k, s}).writeMissed(t.Context()); err == nil || g.Local(heretest.Notes).Reported {
		t.Error("a report that was not written is noted")
	}
	s.Spec.Record.Path = remote
	for range 2 {
		if err := (report{k, s}).writeMissed(t.Context()); err != nil || reports() != 1 {
			t.Errorf("%d reports, %v", reports(), err)
		}
	}
}

// TestImagesAndAWishAreReportedUntilTheRecordHasThem: nothing else changes on the host, so
// no later run would report them, and the lock would lack them permanently.
func TestImagesAndAWishAreReportedUntilTheRecordHasThem(t *testing.T) {
	t.Parallel()
	remote, images := t.TempDir(), map[string]string{"web": "web:1@sha256:1"}
	g := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: g.Recipient(), Sign: g.Signer()})
	g.Spec.Stacks[0].Project.Hash, g.Spec.Stacks[0].Restore = "h2", &fleet.Restore{ID: "w1", Epoch: 1}
	s, err := g.At(g.Spec, g.Spec.Stacks[0]).Open()
	if err = errors.Join(err, g.SaveLocal(heretest.Notes, here.Local{Epoch: 1})); err != nil {
		t.Fatal(err)
	}
	deployed := func(commit, hash string) {
		content, err := json.Marshal(stack.Record{Schema: fleet.Schema, Epoch: 1, Commit: commit, Hash: hash, Images: images})
		if err == nil {
			err = g.Machine.WriteFile(t.Context(), filepath.Join(hostpath.Default().Project(heretest.Notes), "deployed.json"), bytes.NewReader(content), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var got []record.Fact
	var failed error
	k := New(g.Host)
	write := func() {
		t.Helper()
		failed = report{k, s}.writeMissed(t.Context())
		folder, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: remote})
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close(t.Context())
		facts, ignored, err := record.New(folder).Trusting(heretest.FleetTrust()).Facts(t.Context(), heretest.Notes, 1)
		if err != nil || len(ignored) > 0 {
			t.Fatalf("%+v, %v", ignored, err)
		}
		got = facts
	}
	g.Spec.Commit = "c3"
	deployed("c1", "h1")
	if write(); len(got) != 0 {
		t.Errorf("reported of another version, and of a wish that was not done: %+v", got)
	}
	deployed("c2", "h2") // the commits since have changed other stacks only
	g.NoteDone(heretest.Notes, "w1")
	s.Spec.Record.Path = "/dev/null/away"
	if write(); failed == nil || len(got) != 0 || g.Local(heretest.Notes).Wish != "" || g.Local(heretest.Notes).Images != nil {
		t.Error("a report that was not written is noted")
	}
	s.Spec.Record.Path = remote
	for range 2 {
		if write(); len(got) != 1 || got[0].Wish != "w1" || !maps.Equal(got[0].Images, images) {
			t.Errorf("%+v", got)
		}
	}
}

// TestWhatWasMissedIsReportedWithoutASnapshot: a stack that has nothing to protect takes none,
// and the others may take the next one in an hour only. One that does not run here is left.
func TestWhatWasMissedIsReportedWithoutASnapshot(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		local here.Local
		want  int
	}{
		"runs here":   {here.Local{Epoch: 1}, 1},
		"ran before":  {here.Local{}, 0},
		"was lost":    {here.Local{Epoch: 1, Lost: true}, 0},
		"is known":    {here.Local{Epoch: 1, Images: map[string]string{"web": "web:1@sha256:1"}}, 0},
		"is released": {here.Local{Epoch: 1, Released: 1}, 0},
	} {
		remote := t.TempDir()
		g := heretest.NewGuarded(t, "alpha", remote, "", 1)
		heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: g.Recipient(), Sign: g.Signer()})
		content, err := json.Marshal(stack.Record{Schema: fleet.Schema, Epoch: 1, Commit: "c1", Images: map[string]string{"web": "web:1@sha256:1"}})
		if err == nil {
			err = g.Machine.WriteFile(t.Context(), filepath.Join(hostpath.Default().Project(heretest.Notes), "deployed.json"), bytes.NewReader(content), 0o600)
		}
		if err = errors.Join(err, g.SaveSpec(g.Spec), g.SaveLocal(heretest.Notes, c.local)); err != nil {
			t.Fatal(err)
		}
		k := New(g.Host)
		defer k.Close(t.Context())
		for range 2 { // the second time it is known
			if err := k.ReportDue(t.Context(), k.Guard); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		folder, err := storage.Open(t.Context(), storage.Remotes{"disk": {Type: "local"}}, fleet.Location{Remote: "disk", Path: remote})
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close(t.Context())
		facts, _, err := record.New(folder).Trusting(heretest.FleetTrust()).Facts(t.Context(), heretest.Notes, 1)
		if err != nil || len(facts) != c.want {
			t.Errorf("%s: %d reports, want %d, %v", name, len(facts), c.want, err)
		}
	}
}
