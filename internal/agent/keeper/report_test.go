package keeper

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
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
	if k.reportBirths(t.Context(), s); g.Local(heretest.Notes).Reported {
		t.Error("a report that was not written is noted")
	}
	s.Spec.Record.Path = remote
	for range 2 {
		if k.reportBirths(t.Context(), s); reports() != 1 {
			t.Errorf("%d reports", reports())
		}
	}
}
