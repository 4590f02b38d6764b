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
	if got := New(h).LastingFindings("alpha", agentapi.Stack{Name: "notes"}, now); len(got) > 0 {
		t.Errorf("at once: %+v", got)
	}
	if got := New(h).LastingFindings("alpha", agentapi.Stack{Name: "notes"}, later); len(got) != 1 || got[0].Code != finding.SnapshotLasts || got[0].Subject != "alpha/notes" {
		t.Errorf("later: %+v", got)
	}
	if got := New(h).LastingFindings("alpha", agentapi.Stack{Name: "shop"}, later); len(got) > 0 {
		t.Errorf("a start: %+v", got)
	}
	lock.Release()
	if got := New(h).LastingFindings("alpha", agentapi.Stack{Name: "notes"}, later); len(got) > 0 {
		t.Errorf("after its end: %+v", got)
	}
}

func TestKeeping(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		on   OnTarget
		want finding.Code
	}{
		"never taken yet":       {},
		"the last one failed":   {on: OnTarget{Findings: []finding.Finding{{Code: finding.VolumeEmpty}}}, want: finding.VolumeEmpty},
		"it does not read back": {on: OnTarget{Unread: "pack 12: wrong hash"}, want: finding.SnapshotUnverified},
	} {
		st := agentapi.Stack{Name: "notes", Targets: []agentapi.Target{{Name: "nas"}, {Name: "offsite"}}}
		var got finding.Code
		for _, f := range (Condition{Targets: map[string]OnTarget{"nas": {}, "offsite": c.on, "removed": {Unread: "no answer"}}}).Report("alpha", st) {
			got = f.Code
		}
		if got != c.want {
			t.Errorf("%s: finding %q, want %q", name, got, c.want)
		}
	}
}

// TestTargetLateWhileAnotherIsFine: each target is compared with its own goal, by what it
// lists or, if it does not answer, by what this host knows. The finding names the target.
func TestTargetLateWhileAnotherIsFine(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	ago := func(minutes int) time.Time { return now.Add(-time.Duration(minutes) * time.Minute) }
	lists := func(target string, infos ...snapshot.Info) listing {
		return listing{agentapi.Target{Name: target}, snapshot.Listing{Infos: infos}}
	}
	taken := func(id string, minutes int, volumes ...string) snapshot.Info {
		return snapshot.Info{ID: id, Epoch: 1, Seq: 1000 - minutes, Time: ago(minutes), Volumes: volumes}
	}
	nas := lists("nas", taken("aa", 10, "data", "db"))
	for name, c := range map[string]struct {
		offsite agentapi.Target
		on      OnTarget
		rpo     time.Duration
		listed  []listing
		want    string // of the finding about offsite
	}{
		"both in time":           {listed: []listing{nas, lists("offsite", taken("bb", 20, "data", "db"))}},
		"late":                   {listed: []listing{nas, lists("offsite", taken("bb", 40, "data", "db"))}, want: "the newest data that could be restored from offsite is 40m0s old, the goal is 30m0s"},
		"its own interval":       {offsite: agentapi.Target{Every: 24 * time.Hour}, listed: []listing{nas, lists("offsite", taken("bb", 40, "data", "db"))}},
		"its own goal":           {offsite: agentapi.Target{RPO: time.Hour}, rpo: 15 * time.Minute, listed: []listing{nas, lists("offsite", taken("bb", 40, "data", "db"))}},
		"the stack's goal":       {rpo: 15 * time.Minute, listed: []listing{nas, lists("offsite", taken("bb", 21, "data", "db"))}, want: "from offsite is 21m0s old, the goal is 15m0s"},
		"within its patience":    {rpo: 15 * time.Minute, listed: []listing{nas, lists("offsite", taken("bb", 19, "data", "db"))}},
		"one volume":             {listed: []listing{nas, lists("offsite", taken("bb", 50, "data", "db"), taken("cc", 5, "data"))}, want: "the newest data of db that could be restored from offsite is 50m0s old"},
		"a volume without any":   {on: OnTarget{Since: ago(90)}, listed: []listing{nas, lists("offsite", taken("cc", 5, "data"))}, want: "no data of db can be restored from offsite yet, the first try was 1h30m0s ago"},
		"nothing has changed":    {on: OnTarget{Snapshot: "bb", Good: ago(3)}, listed: []listing{nas, lists("offsite", taken("bb", 4000, "data", "db"))}},
		"what is noted is gone":  {on: OnTarget{Snapshot: "cc", Good: ago(3)}, listed: []listing{nas, lists("offsite", taken("bb", 40, "data", "db"))}, want: "is 40m0s old"},
		"nothing yet, and new":   {on: OnTarget{Since: ago(5)}, listed: []listing{nas, lists("offsite")}},
		"never anything":         {on: OnTarget{Since: ago(60)}, listed: []listing{nas, lists("offsite")}, want: "no data can be restored from offsite yet, the first try was 1h0m0s ago"},
		"it is lost":             {on: OnTarget{Since: ago(99), Good: ago(3), Snapshot: "bb"}, listed: []listing{nas, lists("offsite")}, want: "no data can be restored from offsite"},
		"silent, and known good": {on: OnTarget{Good: ago(20)}, listed: []listing{nas}},
		"silent, and late":       {on: OnTarget{Good: ago(50)}, listed: []listing{nas}, want: "is 50m0s old, the goal is 30m0s; it does not answer now"},
		"silent, and unknown":    {listed: []listing{nas}},
	} {
		c.offsite.Name, c.offsite.Every = "offsite", max(c.offsite.Every, 15*time.Minute)
		st := agentapi.Stack{Name: "notes", RPO: c.rpo, Targets: []agentapi.Target{{Name: "nas", Every: 15 * time.Minute}, c.offsite}, Volumes: []project.Volume{
			{Name: "data", Protect: fleet.Snapshot, Method: fleet.Live}, {Name: "db", Protect: fleet.Snapshot, Method: fleet.Live}, {Name: "cache", Protect: fleet.None},
		}}
		state := agentapi.StackState{Name: "notes", Targets: Condition{Targets: map[string]OnTarget{"offsite": c.on}}.Ages(st, c.listed)}
		found := Late("alpha", state, now)
		if (len(found) == 1) != (c.want != "") || len(found) > 1 {
			t.Errorf("%s: %+v", name, found)
			continue
		}
		if len(found) == 1 && (found[0].Code != finding.SnapshotLate || found[0].Subject != "alpha/notes/offsite" || !strings.Contains(found[0].Text, c.want)) {
			t.Errorf("%s: %+v, want %q", name, found[0], c.want)
		}
		if state.Stopped = true; len(Late("alpha", state, now)) > 0 {
			t.Errorf("%s: late although it is declared stopped", name)
		}
	}
}

// TestConditionIsNoted: what a snapshot and a reading back came to, and what the next of
// each makes of it.
func TestConditionIsNoted(t *testing.T) {
	t.Parallel()
	k := New(&here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}})
	s := k.At(agentapi.Host{Name: "alpha"}, agentapi.Stack{Name: "notes"})
	note := func(began time.Time, skipped bool, found []finding.Finding, err error) OnTarget {
		t.Helper()
		if err := k.noteTry(s, "nas", try{read: began, receipt: agentapi.SnapshotReceipt{Skipped: skipped, Findings: found}, err: err}); err != nil {
			t.Fatal(err)
		}
		return k.Condition("notes").On("nas")
	}
	reread := func(doubted bool, err error) OnTarget {
		t.Helper()
		if err := k.noteReread("notes", "nas", doubted, err); err != nil {
			t.Fatal(err)
		}
		return k.Condition("notes").On("nas")
	}
	if c := k.Condition("notes"); len(c.Targets) > 0 {
		t.Errorf("before the first: %+v", c)
	}
	began := time.Now().Add(-time.Minute).UTC()
	first := note(began, false, nil, nil)
	if !first.Good.Equal(began) || !first.Tried.After(began) || !first.Since.Equal(first.Tried) {
		t.Errorf("taken: %+v", first)
	}
	if c := note(began.Add(time.Second), false, nil, errors.New("the remote is full")); !c.Good.Equal(began) || !c.Since.Equal(first.Since) || len(c.Findings) != 1 || c.Findings[0].Subject != "alpha/notes" || !strings.Contains(c.Findings[0].Text, "on nas failed: the remote is full") {
		t.Errorf("failed: %+v", c)
	}
	warning := []finding.Finding{{Code: finding.SnapshotDamaged, Severity: finding.Warning}}
	if c := note(began, false, warning, errors.New("the remote is full")); len(c.Findings) != 2 || c.Findings[1].Code != finding.SnapshotFailed {
		t.Errorf("failed with a warning: %+v", c)
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
	if other := k.Condition("notes").On("offsite"); !other.Tried.IsZero() {
		t.Errorf("of another target: %+v", other)
	}
	heretest.Write(t, k.ConditionPath("notes"), "{")
	if c := k.Condition("notes"); len(c.Targets) > 0 {
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
		Name: fleet.Own("alpha"), Targets: []agentapi.Target{{Name: "offsite", Every: time.Minute}},
		Volumes: []project.Volume{{Name: "@etc", Path: "/etc/x", Protect: fleet.Snapshot, Method: fleet.Live}},
	}
	spec := agentapi.Host{Name: "alpha", Own: &st}
	if err := k.noteTry(k.At(spec, st), "offsite", try{read: at, err: fmt.Errorf("write data/12: %w", storage.ErrDay)}); err != nil {
		t.Fatal(err)
	}
	if found := k.Condition(st.Name).Findings(st); len(found) != 1 || found[0].Code != finding.SnapshotWaits {
		t.Errorf("found %v", found)
	}
	if at = at.Add(dayPause - time.Minute); len(k.Due(spec, at)) != 0 {
		t.Error("it is tried at once")
	}
	if at = at.Add(2 * time.Minute); len(k.Due(spec, at)) != 1 {
		t.Error("it is not tried again")
	}
	if err := k.noteTry(k.At(spec, st), "offsite", try{read: at}); err != nil || len(k.Condition(st.Name).Findings(st)) != 0 || !k.Condition(st.Name).On("offsite").Again.IsZero() {
		t.Errorf("after a good one: %+v, %v", k.Condition(st.Name), err)
	}
}

// TestWhatIsUploadedFirst: of data that is there, what no snapshot has on a target.
func TestWhatIsUploadedFirst(t *testing.T) {
	t.Parallel()
	k, folder := New(&here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}}), t.TempDir()
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
