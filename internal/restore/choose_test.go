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

// TestTheTargetIsChosen: of equal snapshots the one on the first target is taken, unless a
// target is named. One that does not answer keeps an older one from being taken, where it is
// known to have a newer one.
func TestTheTargetIsChosen(t *testing.T) {
	row := func(id, target string, seq int) agentapi.SnapshotRow {
		return agentapi.SnapshotRow{SnapshotInfo: agentapi.SnapshotInfo{ID: id, Epoch: 1, Seq: seq}, Target: target}
	}
	silent := func(seq int) []agentapi.SilentTarget {
		return []agentapi.SilentTarget{{Name: "third", Why: "no route", Newest: agentapi.SnapshotInfo{ID: "ffff", Epoch: 1, Seq: seq}}}
	}
	rows := []agentapi.SnapshotRow{row("aaaa", "nas", 1), row("bbbb", "nas", 2), row("cccc", "offsite", 2), row("dddd", "cold", 1)}
	for name, c := range map[string]struct {
		silent   []agentapi.SilentTarget
		id, from string
		want     string
		err      string
	}{
		"the first in the file":          {want: "bbbb"},
		"by its name":                    {from: "offsite", want: "cccc"},
		"the newest there":               {from: "cold", want: "dddd"},
		"by its id":                      {id: "dd", want: "dddd"},
		"not there":                      {id: "dd", from: "nas", err: "has no snapshot dd"},
		"another is silent":              {silent: silent(2), want: "bbbb"},
		"another is silent, and newer":   {silent: silent(3), err: "target third does not answer and has a newer snapshot of notes, ffff"},
		"that one is not asked":          {silent: silent(3), from: "cold", want: "dddd"},
		"one is chosen":                  {silent: silent(3), id: "aa", want: "aaaa"},
		"the named one is silent":        {silent: silent(1), from: "third", err: "target third does not answer: no route"},
		"nothing is known of the silent": {silent: []agentapi.SilentTarget{{Name: "third"}}, want: "bbbb"},
	} {
		s, err := choose(agentapi.SnapshotList{Stack: "notes", Snapshots: rows, Silent: c.silent}, Options{Snapshot: c.id, From: c.from})
		if err == nil && s.ID != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: chose %q, %v", name, s.ID, err)
		}
		if name == "another is silent, and newer" && !strings.Contains(fault.Hint(err), "salvor restore notes --from nas") {
			t.Errorf("%s: hint %q", name, fault.Hint(err))
		}
	}
}
