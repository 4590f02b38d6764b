package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
)

// TestTheFirstUploadIsAnnounced: with its size, its time where that is known and what is free;
// what does not fit is refused, and takes no room from what does.
func TestTheFirstUploadIsAnnounced(t *testing.T) {
	t.Parallel()
	f := &fleet.Fleet{Remotes: []fleet.Remote{{Name: "drive", Type: "drive"}, {Name: "disk", Type: "local"}}, Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: "drive"}}, {Name: "nas", Where: fleet.Location{Remote: "disk"}}}}
	const gib = 1 << 30
	seen := map[string]Observation{"beta": {Err: errors.New("away")}, "alpha": {State: agentapi.HostState{Report: &agentapi.Report{First: []agentapi.FirstUpload{
		{Stack: "films", Target: "offsite", Bytes: 50 * gib, Speed: 10 << 20}, {Stack: "huge", Target: "offsite", Bytes: 90 * gib}, {Stack: "notes", Target: "offsite", Bytes: 60 * gib},
		{Stack: "host.alpha", Target: "offsite", Bytes: 99 * gib}, {Stack: "films", Target: "nas", Bytes: 50 * gib, More: true}, {Stack: "films", Target: "gone", Bytes: 1},
	}}}}}
	calls := 0
	free := func(_ context.Context, where fleet.Location) (*int64, error) {
		calls++
		if where.Remote == "disk" {
			return nil, errors.New("away")
		}
		room := int64(100 * gib)
		return &room, nil
	}
	wants := []struct {
		severity finding.Severity
		stack    string
		text     string
	}{
		{finding.Info, "", "up to 50.0 GiB to offsite: about 1h 25m at 10.0 MiB a second, 100.0 GiB are free there"},
		{finding.Fatal, "huge", "does not fit on offsite: 90.0 GiB, of which 50.0 GiB are free there"},
		{finding.Fatal, "notes", "does not fit on offsite: 60.0 GiB"},
		{finding.Warning, "", "does not fit on offsite: 99.0 GiB"},
		{finding.Info, "", "up to more than 50.0 GiB to nas: how long that takes is not known, since this host has not uploaded much there yet, the remote does not say what is free"},
	}
	got := FirstUploads(t.Context(), f, seen, free)
	for i, want := range wants {
		if len(got) != len(wants) || got[i].Severity != want.severity || got[i].Stack != want.stack || !strings.Contains(got[i].Text, want.text) {
			t.Fatalf("%d: %+v, want %v", i, got, want)
		}
	}
	if calls != 2 {
		t.Errorf("remotes were asked %d times", calls)
	}
}

// TestTheFirstUploadGoesByTheBandwidth of the remote where that is slower than the line, also
// through a crypt remote.
func TestTheFirstUploadGoesByTheBandwidth(t *testing.T) {
	t.Parallel()
	const gib = 1 << 30
	up := []agentapi.FirstUpload{{Stack: "films", Target: "offsite", Bytes: 50 * gib, Speed: 10 << 20}, {Stack: "notes", Target: "offsite", Bytes: 50 * gib}}
	seen := map[string]Observation{"alpha": {State: agentapi.HostState{Report: &agentapi.Report{First: up}}}}
	free := func(context.Context, fleet.Location) (*int64, error) { return nil, nil }
	for bandwidth, want := range map[string][2]string{
		"5M:off": {"about 2h 50m, as the remote's bandwidth allows", "at least 2h 50m, as the remote's bandwidth allows"},
		"50M":    {"about 1h 25m at 10.0 MiB a second", "at least 17m 04s, as the remote's bandwidth allows"},
		"off:1M": {"about 1h 25m at 10.0 MiB a second", "how long that takes is not known"},
	} {
		f := &fleet.Fleet{
			Remotes: []fleet.Remote{
				{Name: "drive", Type: "drive", Bandwidth: bandwidth},
				{Name: "box", Type: "crypt", Options: map[string]secret.Setting{"remote": secret.ParseSetting("drive:box")}},
			},
			Snapshots: []fleet.Target{{Name: "offsite", Where: fleet.Location{Remote: "box"}}},
		}
		got := FirstUploads(t.Context(), f, seen, free)
		if len(got) != 2 || !strings.Contains(got[0].Text, want[0]) || !strings.Contains(got[1].Text, want[1]) {
			t.Errorf("%s: %+v", bandwidth, got)
		}
	}
}
