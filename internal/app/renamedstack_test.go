package app

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// TestARenamedStackGoesOnAsItIs is fault V17 for stacks: its claim, its repository, its
// seal and its project are those that it has; nothing moves, stops or starts.
func TestARenamedStackGoesOnAsItIs(t *testing.T) {
	k := newKeyed(t)
	k.claim(1)
	before := k.open(k.ann)
	k.commit(map[string][]byte{
		"stacks/notes/compose.yaml": nil, "stacks/diary/compose.yaml": []byte(strings.Replace(keyedStack, "host: alpha", "host: alpha\n  formerly: notes", 1)),
	})
	a := k.open(k.ann)
	if err := a.Broken("notes"); err != nil || a.Named("diary") != "notes" {
		t.Fatal(a.Named("diary"), err)
	}
	if diff := cmp.Diff(before.Needs.Rendered()["notes"].Volumes, a.Needs.Rendered()["notes"].Volumes); diff != "" || before.Needs.Rendered()["notes"].Project.Hash != a.Needs.Rendered()["notes"].Project.Hash {
		t.Errorf("its project is another one: %s", diff)
	}
	next, moves := placement.Next(a.Fleet(), a.Lock(), nil)
	if len(moves) > 0 || len(next.Stacks) != 1 {
		t.Errorf("it moves: %+v", moves)
	}
	if stale, err := a.sealer().Stale(t.Context(), next); err != nil || len(stale) > 0 {
		t.Errorf("it is sealed again: %v, %v", stale, err)
	}
	if owner := k.owner(); owner.Host != "alpha" || owner.Epoch != 1 {
		t.Errorf("owned by %+v", owner)
	}
	plan := deploy.Plan{Hosts: []deploy.HostPlan{{Host: "alpha"}}}
	plan.Rename(a.Checkout.Renamed, next)
	want := []agentapi.Change{{Stack: "notes", ID: "name", Action: "~", Cause: "renamed: now called diary; it keeps running, as notes on hosts and remotes"}}
	if diff := cmp.Diff(want, plan.Hosts[0].Changes); diff != "" {
		t.Error(diff)
	}
	s, err := a.Session(t.Context(), progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	if found := s.RenameFindings(); len(found) > 0 {
		t.Errorf("%+v", found)
	}
	if _, err := s.Apply(t.Context(), deploy.Plan{}, next, deploy.Options{Kind: "apply"}); err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{"stacks/diary/compose.yaml": []byte(keyedStack)}) // formerly: has served
	now := k.open(k.ann)
	if now.Named("diary") != "notes" || len(now.Checkout.Renamed) > 0 || now.Lock().Stacks["notes"].Called != "diary" {
		t.Errorf("the lock has %+v", now.Lock().Stacks)
	}
	if _, earlier, err := now.ForRollback(nil).Deploys(t.Context(), "notes"); err != nil {
		t.Errorf("%+v, %v", earlier, err)
	}
	if used, err := now.Record.Used(t.Context(), now.Named("diary")); err != nil || len(used) > 0 {
		t.Errorf("%v, %v", used, err)
	}
	if lock, err := now.Checkout.File(lockfile.Name); err != nil || strings.Contains(string(lock), `"diary": {`) {
		t.Errorf("%s, %v", lock, err)
	}
}
