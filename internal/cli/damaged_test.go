package cli

import (
	"bytes"
	"strings"
	"testing"

	"salvor/internal/agentapi"
)

// TestDamagedSnapshotsAreShown is fault V6 on the screen.
func TestDamagedSnapshotsAreShown(t *testing.T) {
	row := func(id string, seq int, damaged string) agentapi.SnapshotRow {
		return agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: id, Epoch: 1, Seq: seq}, Target: "offsite", Damaged: damaged}
	}
	list := agentapi.SnapshotList{Stack: "notes", Snapshots: []agentapi.SnapshotRow{row("aaaa", 1, ""), row("bbbb", 2, ""), row("cccc", 3, "pack 12345678 is missing")}}
	var out bytes.Buffer
	if err := printSnapshots(&out, list); err != nil || !strings.Contains(out.String(), "damaged: pack 12345678 is missing") {
		t.Errorf("printed %s, %v", &out, err)
	}
}

// TestS03AMissingSnapshotIsShown: a snapshot that the remote has lost has a row.
func TestS03AMissingSnapshotIsShown(t *testing.T) {
	missing := agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: "dddd", Epoch: 1, Seq: 4}, Target: "offsite", Missing: true, Damaged: "the remote does not list it"}
	list := agentapi.SnapshotList{Stack: "notes", Snapshots: []agentapi.SnapshotRow{{SnapshotInfo: agentapi.SnapshotInfo{ID: "aaaa", Epoch: 1, Seq: 1}, Target: "offsite"}, missing}}
	var out bytes.Buffer
	if err := printSnapshots(&out, list); err != nil || !strings.Contains(out.String(), "offsite, missing: the remote does not list it") {
		t.Errorf("printed %s, %v", &out, err)
	}
}
