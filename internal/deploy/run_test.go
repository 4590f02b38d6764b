package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/placement"
	"salvor/internal/secret"
)

// world has notes on beta and blog on alpha, both alive.
func world() (*deploytest.World, *deploy.Session) {
	w := &deploytest.World{Alive: map[string]bool{"alpha": true, "beta": true},
		Owners: map[string]deploy.Owner{"notes": {Host: "beta", Key: "age1beta", Epoch: 2}, "blog": {Host: "alpha", Key: "age1alpha", Epoch: 1}}}
	s := w.Session(
		&fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "blog", Host: "alpha"}, {Name: "notes", Host: "beta"}}},
		fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2}, "blog": {Host: "alpha", Epoch: 1}}})
	return w, s
}

// TestTheOrderOfAnApply: a stack that moves is released before its placement is
// committed, and claimed before it is started.
func TestTheOrderOfAnApply(t *testing.T) {
	t.Parallel()
	w, s := world()
	next, move := placement.MoveTo(s.Lock, "notes", "alpha")
	moves := []placement.Move{move}
	plan := deploy.MakePlan(s.Fleet, s.Commit, moves, s.Observe(t.Context(), next))
	r, err := s.Apply(t.Context(), plan, next, deploy.Options{Kind: deploy.KindApply, Moves: moves})
	if err != nil {
		t.Fatal(err)
	}
	log := w.Log()
	want := []string{"push", "seal notes", "beta releases notes at 2", "commit apply: placements", "push", "claim notes for alpha at 3", "beta releases notes at 2"}
	if diff := cmp.Diff(want, log[:len(log)-2]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if message := w.Commits()[0].Message; message != "apply: placements\n\nnotes: beta -> alpha, epoch 3" {
		t.Errorf("committed as %q", message)
	}
	if r.Placed["notes"] != "alpha" || r.Commit != "c2" || len(r.Hosts) != 2 || len(r.Pending) > 0 {
		t.Errorf("receipt %+v", r)
	}
}

// TestAStepThatFailsEndsTheRun: nothing after it is done, and the receipt says how far
// things got.
func TestAStepThatFailsEndsTheRun(t *testing.T) {
	t.Parallel()
	broken := errors.New("no room")
	for name, c := range map[string]struct {
		change func(*deploytest.World, *deploy.Session)
		last   string // what was asked last
	}{
		"not granted": {func(_ *deploytest.World, s *deploy.Session) {
			s.Granted = func(context.Context, fleet.Lock) error { return broken }
		}, ""},
		"not released": {func(w *deploytest.World, _ *deploy.Session) {
			w.Refuse = map[string]error{agentapi.VerbRelease: broken}
		}, "seal notes"},
		"not pushed":  {func(w *deploytest.World, _ *deploy.Session) { w.PushErr = []error{nil, broken} }, "push"},
		"not claimed": {func(w *deploytest.World, _ *deploy.Session) { w.Outrun = deploy.Owner{Host: "gamma", Epoch: 9} }, "claim notes for alpha at 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := world()
			next, move := placement.MoveTo(s.Lock, "notes", "alpha")
			c.change(w, s)
			r, err := s.Apply(t.Context(), s.OnHost("alpha"), next, deploy.Options{Kind: deploy.KindMove, Moves: []placement.Move{move}, Unplanned: true})
			if err == nil || !strings.Contains(err.Error(), broken.Error()) && !errors.Is(err, deploy.ErrOutrun) {
				t.Errorf("ends with %v", err)
			}
			last := ""
			if log := w.Log(); len(log) > 0 {
				last = log[len(log)-1]
			}
			if last != c.last || len(r.Hosts) > 0 || r.Ended.Before(r.Began) {
				t.Errorf("asked %q last; receipt %+v", last, r)
			}
		})
	}
}

// TestOnlyARunThatMayGoesOnWithoutTheGitHost: the push is left to do.
func TestOnlyARunThatMayGoesOnWithoutTheGitHost(t *testing.T) {
	t.Parallel()
	for _, may := range []bool{false, true} {
		w, s := world()
		w.PushErr = []error{fmt.Errorf("push: %w", git.ErrGitAway)}
		r, err := s.Apply(t.Context(), s.OnHost("beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true, GitMayBeAway: may})
		if errors.Is(err, git.ErrGitAway) == may || strings.Contains(strings.Join(r.Pending, ""), "git push") != may {
			t.Errorf("it may: %v; ends with %v, pending %v", may, err, r.Pending)
		}
	}
}

// TestAPlanLeavesOutWhatNeedsNothing, and what was not planned is applied anyway.
func TestAPlanLeavesOutWhatNeedsNothing(t *testing.T) {
	t.Parallel()
	for _, unplanned := range []bool{false, true} {
		w, s := world()
		if _, err := s.Apply(t.Context(), s.OnHost("alpha", "beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: unplanned}); err != nil {
			t.Fatal(err)
		}
		if applied := strings.Contains(strings.Join(w.Log(), "\n"), "applies"); applied != unplanned {
			t.Errorf("unplanned %v: asked %v", unplanned, w.Log())
		}
	}
}

func TestBlocked(t *testing.T) {
	t.Parallel()
	fatal := finding.Finding{Code: finding.VolumeKept, Severity: finding.Fatal, Subject: "beta/notes", Text: "data is there", Fix: "look at it"}
	broken := finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: "compose.yaml:3", Text: "no such key", Fix: "correct it"}
	warning := finding.Finding{Code: finding.SnapshotLate, Severity: finding.Warning, Subject: "notes", Text: "late"}
	for name, c := range map[string]struct {
		found      []finding.Finding
		text, hint string
	}{
		"nothing fatal": {[]finding.Finding{warning}, "", ""},
		"one":           {[]finding.Finding{warning, broken}, "compose.yaml:3: no such key", "correct it"},
		"two":           {[]finding.Finding{broken, fatal}, "compose.yaml:3: no such key, and 1 more problems", "correct it"},
		"by its code":   {[]finding.Finding{fatal}, fatal.String(), "look at it"},
	} {
		err := deploy.Blocked(c.found)
		if (err == nil) != (c.text == "") || err != nil && (err.Error() != c.text || fault.Hint(err) != c.hint) {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
}

// TestStatusAsksEveryHost at once; one that does not answer has the command that goes on
// without it, where stacks are placed there.
func TestStatusAsksEveryHost(t *testing.T) {
	t.Parallel()
	w, s := world()
	s.Fleet.Hosts = append(s.Fleet.Hosts, fleet.Host{Name: "gamma"})
	w.Alive["beta"] = false
	all := s.Status(t.Context())
	hints := map[string]string{}
	for _, h := range all {
		hints[h.Host] = h.Hint
	}
	want := map[string]string{"alpha": "", "beta": "if beta is lost permanently: salvor recover beta --to HOST", "gamma": ""}
	if diff := cmp.Diff(want, hints); diff != "" {
		t.Errorf("hints (-want +got):\n%s", diff)
	}
	if all[0].Error != "" || all[1].Error == "" || cmp.Diff([]string{"notes"}, all[1].Placed) != "" {
		t.Errorf("%+v", all)
	}
}

// TestSnapshotsAreListedByTheHost that has the stack.
func TestSnapshotsAreListedByTheHost(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.Snapshots = []agentapi.SnapshotRow{{Target: "nas"}}
	if list, err := s.Snapshots(t.Context(), "notes"); err != nil || list.Stack != "notes" || len(list.Snapshots) != 1 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := s.Snapshots(t.Context(), "wiki"); err == nil || fault.Hint(err) != "salvor apply" {
		t.Errorf("%v", err)
	}
}

// TestAStackThatMovesTakesItsRoutesAlong: its new host gets what it publishes with, and the place
// for its seal; the former host publishes nothing any more. What the plan opens is said to hosts.
func TestAStackThatMovesTakesItsRoutesAlong(t *testing.T) {
	t.Parallel()
	w, s := world()
	s.Fleet.Ingress = fleet.Ingress{Provider: fleet.IngressCloudflare, Account: "a1", Token: secret.ParseSetting("secret:cloudflare"), Network: "edge"}
	s.Fleet.Stacks[1].Publishes = true
	next, move := placement.MoveTo(s.Lock, "notes", "alpha")
	moves := []placement.Move{move}
	w.States = map[string]agentapi.HostState{"alpha": {Changes: []agentapi.Change{{Stack: "notes", ID: "route app.example.com", Action: "~", Opens: "app.example.com"}}}}
	plan := deploy.MakePlan(s.Fleet, s.Commit, moves, s.Observe(t.Context(), next))
	if _, err := s.Apply(t.Context(), plan, next, deploy.Options{Kind: deploy.KindApply, Moves: moves}); err != nil {
		t.Fatal(err)
	}
	alpha, beta := w.Applied("alpha"), w.Applied("beta").Host
	if i := alpha.Host.Ingress; i == nil || i.Account != "a1" || i.Hosts != 1 || alpha.Host.Image(fleet.ConnectorProject) == "" || alpha.Host.Own == nil {
		t.Errorf("the new host gets %+v, %+v, %+v", alpha.Host.Ingress, alpha.Host.Projects, alpha.Host.Own)
	}
	if beta.Ingress != nil || beta.Projects != nil || beta.Own != nil {
		t.Errorf("the former host gets %+v, %+v, %+v", beta.Ingress, beta.Projects, beta.Own)
	}
	if diff := cmp.Diff([]string{"app.example.com"}, alpha.Opens); diff != "" {
		t.Errorf("opens (-want +got)\n%s", diff)
	}
	if p, has := s.Lock.Hosts["alpha"]; !has || p.Epoch != 1 {
		t.Errorf("the lock has %+v", s.Lock.Hosts)
	}
}
