package deploy_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/placement"
	"salvor/internal/terminal"
)

// TestOneHostsFailureKeepsNoOther: the other host applies, what it learned is committed,
// and the receipt names the stack that did not come up.
func TestOneHostsFailureKeepsNoOther(t *testing.T) {
	t.Parallel()
	w, s := world()
	born := time.Unix(100, 0).UTC()
	w.Outcome = func(host string, _ agentapi.Stack) *agentapi.Error {
		if host == "beta" {
			return &agentapi.Error{Text: "no such image", Hint: "salvor logs notes", Code: fault.General}
		}
		return nil
	}
	w.Facts = map[string][]placement.Learned{"blog": {{Host: "alpha", Epoch: 1, Born: map[string]time.Time{"data": born}}}}
	r, err := s.Apply(t.Context(), s.OnHost("alpha", "beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Asked: []string{"blog"}, Unplanned: true})
	if err != nil || len(r.Hosts) != 2 || r.Err() != nil {
		t.Fatalf("%+v, %v, %v", r, err, r.Err())
	}
	if !r.Up("blog") || r.Up("notes") || r.Up("wiki") || len(r.Failed()) != 0 {
		t.Errorf("failed %+v", r.Failed())
	}
	if others := r.FailedOthers(); len(others) != 1 || others[0].Host != "beta" || others[0].Stack != "notes" {
		t.Errorf("others %+v", others)
	}
	r.Asked = nil // it was about all of them
	failed := r.Err()
	if code, _ := fault.Code(failed); failed == nil || failed.Error() != "beta: notes: no such image" || code != fault.Partial {
		t.Errorf("%v, code %d", failed, code)
	}
	commits := w.Commits()
	if len(commits) != 1 || commits[0].Message != "apply: hosts' reports" || !s.Lock.Stacks["blog"].Volumes["data"].Born.Equal(born) {
		t.Errorf("%+v, lock %+v", commits, s.Lock.Stacks["blog"])
	}
}

// TestAHostThatDoesNotAnswer in the apply is an error that names it; the others' part is
// done and recorded.
func TestAHostThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.Alive["beta"] = false
	r, err := s.Apply(t.Context(), s.OnHost("alpha", "beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true})
	if err == nil || !strings.Contains(err.Error(), "beta") || len(r.Hosts) != 1 || !slices.Contains(w.Log(), "alpha applies") {
		t.Errorf("%+v, %v, asked %v", r.Hosts, err, w.Log())
	}
}

// TestWhatCantBeRecordedIsPending and fails nothing: facts that can't be read, the race
// for the second push, the mirror.
func TestWhatCantBeRecordedIsPending(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.FactsErr, w.MirrorErr = errors.New("no route"), errors.New("disk full")
	w.PushErr = []error{nil, fmt.Errorf("push: %w", git.ErrDiverged)}
	w.Born = map[string]map[string]time.Time{"notes": {"data": time.Unix(100, 0)}}
	before := s.Commit
	r, err := s.Apply(t.Context(), s.OnHost("beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true})
	if err != nil || r.Commit != before {
		t.Errorf("at %s, %v", r.Commit, err)
	}
	pending := strings.Join(r.Pending, "\n")
	for _, want := range []string{"cannot read the hosts' reports on the record remote (no route)", "someone else pushed in the meantime: git pull --rebase", "mirror on the record remote was not updated (disk full)"} {
		if !strings.Contains(pending, want) {
			t.Errorf("%q is not pending:\n%s", want, pending)
		}
	}
}

// TestStaleSeals: only stacks that stay where they are have stale seals. A stack that moves is
// sealed anyway, and one that left the commit is never sealed.
func TestStaleSeals(t *testing.T) {
	t.Parallel()
	w, s := world()
	s.Fleet.Stacks = append(s.Fleet.Stacks, fleet.Stack{Name: "anywhere"}, fleet.Stack{Name: "lost", Host: "delta"})
	s.Fleet.Stacks[1].Host = "alpha" // notes moves
	for name, host := range map[string]string{"anywhere": "beta", "gone": "beta", "lost": "delta"} {
		s.Lock.Stacks[name] = fleet.Placement{Host: host, Epoch: 1}
	}
	if _, err := s.StaleSeals(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"anywhere", "blog"}, w.AskedStale()); diff != "" {
		t.Errorf("asked about (-want +got):\n%s", diff)
	}
}

// TestResealed: stale seals are made in the commit of an apply, for the stacks that are
// its own, and only for hosts that can be reached.
func TestResealed(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.Stale = map[string]string{"notes": "its inputs changed"}
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.Observe(t.Context(), s.Lock))
	plan.Reseal(w.Stale, s.Lock, s.Stacks)
	if diff := cmp.Diff([]string{"notes: secrets: its inputs changed"}, said(plan)); diff != "" {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
	if _, err := s.Apply(t.Context(), plan, s.Lock, deploy.Options{Kind: deploy.KindApply}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"push", "seal notes", "commit apply: seals", "push", "beta applies"}, w.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if string(w.Commits()[0].Files["sealed"]) != "notes" {
		t.Errorf("committed %v", w.Commits()[0].Files)
	}
}

// TestARenamedStackIsInThePlan of the host that has it, and changes the fingerprint.
func TestARenamedStackIsInThePlan(t *testing.T) {
	t.Parallel()
	_, s := world()
	plan := deploy.MakePlan(s.Fleet, s.Commit, nil, s.Observe(t.Context(), s.Lock))
	before := plan.Fingerprint
	plan.Rename([]fleet.Stack{{Name: "notes", Called: "diary"}, {Name: "blog"}, {Name: "wiki", Called: "gone"}}, s.Lock)
	want := []string{"blog: name: renamed: called blog again", "notes: name: renamed: now called diary; it keeps running, as notes on hosts and remotes"}
	if diff := cmp.Diff(want, said(plan)); diff != "" || plan.Fingerprint == before {
		t.Errorf("planned (-want +got):\n%s", diff)
	}
}

// said are the changes of a plan, in order.
func said(p deploy.Plan) []string {
	var all []string
	for _, h := range p.Hosts {
		for _, c := range h.Changes {
			all = append(all, fmt.Sprintf("%s: %s: %s", c.Stack, c.Kind(), c.Cause))
		}
	}
	return all
}

// TestThePlanForPeople joins the folders that a host lacks, and counts what it prints.
func TestThePlanForPeople(t *testing.T) {
	t.Parallel()
	p := deploy.Plan{Fleet: "home", Commit: "1a2b3c4d", Hosts: []deploy.HostPlan{{Host: "alpha", Changes: []agentapi.Change{
		{ID: "directory /a", Action: "+", Cause: "is not there"}, {ID: "directory /b", Action: "+", Cause: "is not there"},
		{ID: "directory /c", Action: "~", Cause: "mode is 0777"}, {ID: "directory /d", Action: "+", Cause: "is not there"},
	}}}}
	var whole bytes.Buffer
	p.Render(terminal.NewPage(&whole, false))
	for _, want := range []string{"+ directory /a and 2 more", "are not there", "~ directory /c"} {
		if !strings.Contains(whole.String(), want) {
			t.Errorf("%q:\n%s", want, &whole)
		}
	}
	if strings.Contains(whole.String(), "/b") || !strings.Contains(whole.String(), "1 to add, 1 to change, nothing is lost.") {
		t.Error(whole.String())
	}
}
