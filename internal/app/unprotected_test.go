package app

import (
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/progress"
)

// withoutTargets makes of a keyed fleet one with other remotes and no snapshot
// targets.
func (k *keyed) withoutTargets(remotes string) {
	k.t.Helper()
	a := k.open(k.ann)
	config, err := a.Checkout.File(fleet.File)
	if err != nil {
		k.t.Fatal(err)
	}
	before, after, _ := strings.Cut(string(config), "remotes:\n")
	_, after, _ = strings.Cut(after, "every: 15m}]}\n")
	k.commit(map[string][]byte{fleet.File: []byte(before + remotes + after)})
}

// TestDataWithoutASnapshotTargetIsSaid is fault D9: with a remote and no target the
// stack's volumes are named before anything is committed, and stacks without data
// continue.
func TestDataWithoutASnapshotTargetIsSaid(t *testing.T) {
	k := newKeyed(t)
	k.commit(map[string][]byte{"stacks/plain/compose.yaml": []byte("x-salvor: {host: alpha}\nservices: {web: {image: nginx:1}}\n")})
	k.withoutTargets("remotes: {disk: {type: local}}\n")
	a := k.open(k.ann)
	var found finding.Finding
	for _, f := range a.Findings() {
		if f.Severity == finding.Fatal {
			found = f
		}
	}
	if found.Code != finding.TargetMissing || found.Stack != "notes" || !strings.Contains(found.Text, "data of notes") || !strings.Contains(found.Fix, "data.snapshots") {
		t.Errorf("%+v", found)
	}
	if st, _ := a.Fleet().Stack("notes"); !st.Broken {
		t.Error("notes would be deployed")
	}
	if st, _ := a.Fleet().Stack("plain"); st.Broken {
		t.Error("plain would not be deployed")
	}
}

// TestAFleetWithoutARemoteIsSaid is fault D9: nothing is placed where the record
// has no place.
func TestAFleetWithoutARemoteIsSaid(t *testing.T) {
	k := newKeyed(t)
	k.commit(map[string][]byte{lockfile.Name: nil}) // nothing is placed yet
	k.commit(map[string][]byte{"stacks/plain/compose.yaml": []byte("x-salvor: {host: alpha}\nservices: {web: {image: nginx:1}}\n")})
	k.withoutTargets("remotes: {}\n")
	if got := k.codes(finding.RecordMissing); len(got) != 1 {
		t.Errorf("findings about %v", got)
	}
	if got := k.codes(finding.TargetMissing); len(got) != 1 {
		t.Errorf("findings about %v", got)
	}
}

// TestAFreshFleetIsCommitted: what only a deploy needs is a warning for files that are not
// committed yet, and breaks no stack there. It stops the plan of the commit.
func TestAFreshFleetIsCommitted(t *testing.T) {
	k := newKeyed(t)
	k.commit(map[string][]byte{lockfile.Name: nil})
	k.withoutTargets("remotes: {}\n")
	for files, want := range map[checkout.Files]finding.Severity{checkout.Committed: finding.Fatal, checkout.WorkTree: finding.Warning, checkout.Staged: finding.Warning} {
		a, err := Open(t.Context(), Options{Dir: k.dir, Identity: k.ann, Files: files, Sink: progress.Discard()})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[finding.Code]finding.Severity{}
		for _, f := range a.Findings() {
			seen[f.Code] = f.Severity
		}
		if seen[finding.TargetMissing] != want || seen[finding.RecordMissing] != finding.Warning && files != checkout.Committed {
			t.Errorf("%v: %v", files, seen)
		}
		if st, _ := a.Fleet().Stack("notes"); st.Broken != (want == finding.Fatal) {
			t.Errorf("%v: broken is %v", files, st.Broken)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}
