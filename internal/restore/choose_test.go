package restore

import (
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
)

// TestDamagedSnapshotsArePassedOver is fault V6.
func TestDamagedSnapshotsArePassedOver(t *testing.T) {
	row := func(id string, seq int, damaged string) agentapi.SnapshotRow {
		return agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: id, Epoch: 1, Seq: seq}, Target: "offsite", Damaged: damaged}
	}
	list := agentapi.SnapshotList{Stack: "notes", Snapshots: []agentapi.SnapshotRow{row("aaaa", 1, ""), row("bbbb", 2, ""), row("cccc", 3, "pack 12345678 is missing")}}
	if s, err := choose(list, Options{}); err != nil || s.ID != "bbbb" {
		t.Errorf("chose %s, %v", s.ID, err)
	}
	if s, err := choose(list, Options{Snapshot: "a"}); err != nil || s.ID != "aaaa" {
		t.Errorf("chose %s, %v", s.ID, err)
	}
	if _, err := choose(list, Options{Snapshot: "cccc"}); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged one by its id: %v", err)
	}
}

// TestS03AMissingSnapshotIsPickedByNone: no restore picks a snapshot that the remote has
// lost, or an older one that no one has asked for.
func TestS03AMissingSnapshotIsPickedByNone(t *testing.T) {
	missing := agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: "dddd", Epoch: 1, Seq: 4}, Target: "offsite", Missing: true, Damaged: "the remote does not list it"}
	list := agentapi.SnapshotList{Stack: "notes", Snapshots: []agentapi.SnapshotRow{{SnapshotInfo: agentapi.SnapshotInfo{ID: "aaaa", Epoch: 1, Seq: 1}, Target: "offsite"}, missing}}
	if s, err := choose(list, Options{}); err == nil || !strings.Contains(fault.Hint(err), "--snapshot aaaa ") {
		t.Errorf("chose %s, %v", s.ID, err)
	}
	if s, err := choose(list, Options{Snapshot: "aaaa"}); err != nil || s.ID != "aaaa" {
		t.Errorf("chose %s, %v", s.ID, err)
	}
	elsewhere := agentapi.SnapshotRow{SnapshotInfo: missing.SnapshotInfo, Target: "nas"}
	if s, err := choose(agentapi.SnapshotList{Stack: "notes", Snapshots: append(list.Snapshots, elsewhere)}, Options{}); err != nil || s.ID != "dddd" || s.Target != "nas" {
		t.Errorf("with another target that has it: chose %s on %s, %v", s.ID, s.Target, err)
	}
	if _, err := choose(list, Options{Snapshot: "dddd"}); err == nil || !strings.Contains(err.Error(), "dddd of notes is missing: ") {
		t.Errorf("the missing one by its id: %v", err)
	}
}
