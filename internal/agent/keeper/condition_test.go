package keeper

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/project"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/restserver"
	"salvor/internal/storage"
)

// TestS14WhatLastsIsSaid: a snapshot that lasts is a finding until it ends. What is not
// a snapshot, or has ended, is not a finding.
func TestS14WhatLastsIsSaid(t *testing.T) {
	t.Parallel()
	h := &here.Host{Paths: hostpath.Layout{Run: t.TempDir()}}
	lock, err := h.LockStack(t.Context(), "notes", here.Daemon, takingSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	start, err := h.LockStack(t.Context(), "shop", here.Daemon, "start after a boot")
	if err != nil {
		t.Fatal(err)
	}
	defer start.Release()
	now, later := time.Now(), time.Now().Add(TakerTurn+time.Second)
	if got := New(h).LastingFindings("alpha", "notes", now); len(got) > 0 {
		t.Errorf("at once: %+v", got)
	}
	if got := New(h).LastingFindings("alpha", "notes", later); len(got) != 1 || got[0].Code != finding.SnapshotLasts || got[0].Subject != "alpha/notes" {
		t.Errorf("later: %+v", got)
	}
	if got := New(h).LastingFindings("alpha", "shop", later); len(got) > 0 {
		t.Errorf("a start: %+v", got)
	}
	lock.Release()
	if got := New(h).LastingFindings("alpha", "notes", later); len(got) > 0 {
		t.Errorf("after its end: %+v", got)
	}
}

func TestKeeping(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	for name, c := range map[string]struct {
		kept Condition
		rpo  time.Duration
		want finding.Code
	}{
		"never taken yet":         {},
		"in time":                 {kept: Condition{Good: now.Add(-20 * time.Minute)}},
		"late":                    {kept: Condition{Good: now.Add(-40 * time.Minute)}, want: finding.SnapshotLate},
		"late against its goal":   {kept: Condition{Good: now.Add(-11 * time.Minute)}, rpo: 5 * time.Minute, want: finding.SnapshotLate},
		"the last one failed":     {kept: Condition{Good: now, Findings: []finding.Finding{{Code: finding.VolumeEmpty}}}, want: finding.VolumeEmpty},
		"it does not read back":   {kept: Condition{Good: now, Unread: "pack 12: wrong hash"}, want: finding.SnapshotUnverified},
		"within its own patience": {kept: Condition{Good: now.Add(-9 * time.Minute)}, rpo: 5 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			st := agentapi.Stack{
				Name: "notes", RPO: c.rpo, PauseEvery: time.Minute, Targets: []agentapi.Target{{Every: 15 * time.Minute}},
				Volumes: []project.Volume{{Name: "data", Protect: fleet.Snapshot, Method: fleet.Pause}},
			}
			var got finding.Code
			for _, f := range c.kept.Report("alpha", st, now) {
				got = f.Code
			}
			if got != c.want {
				t.Errorf("finding %q, want %q", got, c.want)
			}
		})
	}
}

// TestConditionIsNoted: what a snapshot and a reading back came to, and what the next of
// each makes of it.
func TestConditionIsNoted(t *testing.T) {
	t.Parallel()
	k := New(&here.Host{Paths: hostpath.Layout{State: t.TempDir()}})
	note := func(began time.Time, skipped bool, found []finding.Finding, err error) Condition {
		t.Helper()
		if err := k.NoteTaken("alpha", "notes", began, agentapi.SnapshotReceipt{Skipped: skipped}, found, err); err != nil {
			t.Fatal(err)
		}
		return k.Condition("notes")
	}
	reread := func(doubted bool, err error) Condition {
		t.Helper()
		if err := k.noteReread("notes", doubted, err); err != nil {
			t.Fatal(err)
		}
		return k.Condition("notes")
	}
	if c := k.Condition("notes"); !c.Tried.IsZero() || !c.Good.IsZero() || c.Findings != nil {
		t.Errorf("before the first: %+v", c)
	}
	began := time.Now().Add(-time.Minute).UTC()
	if c := note(began, false, nil, nil); !c.Good.Equal(began) || !c.Tried.After(began) {
		t.Errorf("taken: %+v", c)
	}
	if c := note(began.Add(time.Second), false, nil, errors.New("the remote is full")); !c.Good.Equal(began) || len(c.Findings) != 1 || c.Findings[0].Subject != "alpha/notes" || !strings.Contains(c.Findings[0].Text, "the remote is full") {
		t.Errorf("failed: %+v", c)
	}
	denied := fmt.Errorf("store: %w", &storage.Denied{Remote: "drive"})
	if c := note(began.Add(time.Second), false, nil, denied); len(c.Findings) != 1 || c.Findings[0].Fix != "salvor remote renew drive, then salvor apply" {
		t.Errorf("denied: %+v", c)
	}
	full := fmt.Errorf("store: %w: 5.0 MiB are needed, 0 B are free", storage.ErrFull)
	if c := note(began.Add(time.Second), false, nil, full); len(c.Findings) != 1 || !strings.HasPrefix(c.Findings[0].Fix, "make room") || !strings.Contains(c.Findings[0].Text, "5.0 MiB are needed, 0 B are free") {
		t.Errorf("full: %+v", c)
	}
	fatal := []finding.Finding{{Code: finding.VolumeEmpty, Severity: finding.Fatal}}
	if c := note(began.Add(time.Second), false, fatal, errors.New("it is empty")); len(c.Findings) != 1 || c.Findings[0].Code != finding.VolumeEmpty {
		t.Errorf("what is fatal is said once: %+v", c)
	}
	if c := reread(false, errors.New("no answer")); c.Unread != "no answer" || c.Tried.IsZero() {
		t.Errorf("not read back: %+v", c)
	}
	if c := reread(true, errors.New("pack 12: wrong hash")); c.Unread == "" || !c.Tried.IsZero() || !c.Good.Equal(began) {
		t.Errorf("doubted: %+v, the next snapshot is not due at once", c)
	}
	if c := note(began, true, nil, nil); c.Unread == "" {
		t.Error("a snapshot that read nothing ends the doubt")
	}
	if c := note(began, false, nil, nil); c.Unread != "" {
		t.Error("a snapshot that read everything leaves the doubt")
	}
	heretest.Write(t, k.ConditionPath("notes"), "{")
	if c := k.Condition("notes"); !c.Good.IsZero() {
		t.Errorf("of a damaged note: %+v", c)
	}
}

// TestADayWithoutUploadsIsWaitedOut: what the remote refuses for its daily limit is a finding
// with the time of the next try, and not a failure that is tried again at once.
func TestADayWithoutUploadsIsWaitedOut(t *testing.T) {
	t.Parallel()
	at := time.Now()
	h := &here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}, Edges: here.Edges{Now: func() time.Time { return at }}}
	k := New(h)
	st := agentapi.Stack{
		Name: fleet.Own("alpha"), Targets: []agentapi.Target{{Every: time.Minute}},
		Volumes: []project.Volume{{Name: "@etc", Path: "/etc/x", Protect: fleet.Snapshot, Method: fleet.Live}},
	}
	spec := agentapi.Host{Name: "alpha", Own: &st}
	if err := k.NoteTaken("alpha", st.Name, at, agentapi.SnapshotReceipt{}, nil, fmt.Errorf("write data/12: %w", storage.ErrDay)); err != nil {
		t.Fatal(err)
	}
	if found := k.Condition(st.Name).Findings; len(found) != 1 || found[0].Code != finding.SnapshotWaits {
		t.Errorf("found %v", found)
	}
	if at = at.Add(dayPause - time.Minute); len(k.Due(spec, at)) != 0 {
		t.Error("it is tried at once")
	}
	if at = at.Add(2 * time.Minute); len(k.Due(spec, at)) != 1 {
		t.Error("it is not tried again")
	}
	if err := k.NoteTaken("alpha", st.Name, at, agentapi.SnapshotReceipt{}, nil, nil); err != nil || len(k.Condition(st.Name).Findings) != 0 || !k.Condition(st.Name).Again.IsZero() {
		t.Errorf("after a good one: %+v, %v", k.Condition(st.Name), err)
	}
}

// TestWhatIsUploadedFirst: of data that is there, what no snapshot has on a target.
func TestWhatIsUploadedFirst(t *testing.T) {
	t.Parallel()
	k, folder := New(&here.Host{Paths: hostpath.Layout{State: t.TempDir()}}), t.TempDir()
	heretest.Write(t, filepath.Join(folder, "one"), "12345")
	on := func(name string, epoch int, path string, proven ...string) agentapi.Stack {
		st := agentapi.Stack{Name: name, Epoch: epoch, Volumes: []project.Volume{{Name: "data", Path: path, Protect: fleet.Snapshot}}, Proven: map[string]fleet.Proven{}}
		for _, id := range []string{"aa", "bb"} {
			st.Targets = append(st.Targets, agentapi.Target{Name: "on-" + id, Where: fleet.Location{Remote: "disk"}, Repository: id})
		}
		for _, id := range proven {
			st.Proven[id] = fleet.Proven{Epoch: 1}
		}
		return st
	}
	own := on(fleet.Own("alpha"), 2, folder, "aa")
	spec := agentapi.Host{Name: "alpha", Own: &own, Stacks: []agentapi.Stack{on("notes", 1, folder, "bb"), on("moved", 2, folder), on("new", 1, t.TempDir()), on("taken", 1, folder, "aa", "bb")}}
	if err := ArchiveOf(k.At(spec, spec.Stacks[3])).noteResult("aa", snapshot.Result{Duration: 2 * time.Second, Written: []restserver.Written{{Proof: blob.Proof{Size: 2 * largeUpload}}}}); err != nil {
		t.Fatal(err)
	}
	want := []agentapi.FirstUpload{
		{Stack: "notes", Target: "on-aa", Bytes: 5, Speed: largeUpload}, {Stack: "host.alpha", Target: "on-bb", Bytes: 5, Speed: largeUpload},
	}
	if got := FirstUploads(t.Context(), k, spec); !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
}
