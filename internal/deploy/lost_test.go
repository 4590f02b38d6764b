package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/placement"
)

// takeover begins a run in which alpha takes over what beta had.
func takeover(s *deploy.Session, o deploy.Options) *deploy.Run {
	s.Lease = time.Minute
	next, moves := placement.Recover(s.Lock, placement.Takeover{Lost: "beta", To: "alpha"})
	o.Kind, o.Moves, o.Lost, o.Unplanned = deploy.KindRecover, moves, "beta", true
	return s.Begin(s.OnHost("alpha"), next, o)
}

// placed goes as far as the claims.
func placed(t *testing.T, r *deploy.Run) {
	t.Helper()
	for _, step := range []func(context.Context) error{r.TakeOver, r.Seal, r.Place} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestALostHostIsFencedOnceTheClaimsAreThere: one that answers stops what was taken from
// it and is not waited for; one that does not, or that can't stop it, is waited for. The
// receipt says which.
func TestALostHostIsFencedOnceTheClaimsAreThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change  func(w *deploytest.World, o *deploy.Options)
		stops   bool
		waits   bool
		pending []string
	}{
		"it answers": {func(*deploytest.World, *deploy.Options) {}, true, false, []string{"beta has stopped its stacks and keeps their data"}},
		"it does not": {func(w *deploytest.World, _ *deploy.Options) { w.Alive["beta"] = false }, false, true,
			[]string{"beta did not answer the request to stop", "if beta is gone permanently: salvor host remove beta"}},
		"it does not, and was made by Salvor": {func(w *deploytest.World, _ *deploy.Options) { w.Alive["beta"] = false }, false, true,
			[]string{"if beta is gone permanently: salvor host destroy beta"}},
		"it can't": {func(w *deploytest.World, _ *deploy.Options) {
			w.Refuse = map[string]error{agentapi.VerbFence: errors.New("docker hangs")}
		}, false, true, []string{"beta did not answer the request to stop"}},
		"its name continues": {func(_ *deploytest.World, o *deploy.Options) { o.Replaced = true }, false, true, []string{"beta did not answer the request to stop"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := world()
			var o deploy.Options
			c.change(w, &o)
			if strings.HasSuffix(name, "made by Salvor") {
				i := slices.IndexFunc(s.Fleet.Hosts, func(h fleet.Host) bool { return h.Name == "beta" })
				s.Fleet.Hosts[i].Server = fleet.Server{Provider: "aws", Region: "eu-central-1", ID: "k3v9x2mq5a"}
			}
			r := takeover(s, o)
			reached := r.ReachLost(t.Context())
			placed(t, r)
			r.Fence(t.Context(), reached())
			if err := r.ApplyHosts(t.Context()); err != nil {
				t.Fatal(err)
			}
			log := w.Log()
			claim := slices.Index(log, "claim notes for alpha at 3")
			stop, start := slices.IndexFunc(log, func(l string) bool { return strings.HasPrefix(l, "beta stops") && strings.Contains(l, "notes:3") }), slices.Index(log, "alpha applies")
			if claim < 0 || start < claim || c.stops != (stop > claim && stop < start) || slices.ContainsFunc(log, func(l string) bool { return strings.Contains(l, "releases") }) {
				t.Errorf("asked %v", log)
			}
			if wait := w.Applied("alpha").Wait["notes"]; (wait > 0) != c.waits || wait > time.Minute {
				t.Errorf("waits %v", wait)
			}
			pending := strings.Join(r.End().Pending, "\n")
			for _, want := range c.pending {
				if !strings.Contains(pending, want) {
					t.Errorf("%q is not pending:\n%s", want, pending)
				}
			}
			if o.Replaced && strings.Contains(pending, "host remove") {
				t.Errorf("the machine that has its name now would be removed:\n%s", pending)
			}
		})
	}
}

// TestNothingIsFencedThatWasNotTaken: a run that no host is lost in asks none to stop.
func TestNothingIsFencedThatWasNotTaken(t *testing.T) {
	t.Parallel()
	w, s := world()
	r := s.Begin(s.OnHost("beta"), s.Lock, deploy.Options{Kind: deploy.KindApply, Unplanned: true})
	placed(t, r)
	r.Fence(t.Context(), r.ReachLost(t.Context())())
	if log := w.Log(); slices.ContainsFunc(log, func(l string) bool { return strings.Contains(l, "stops") }) || len(r.End().Pending) > 0 {
		t.Errorf("asked %v, pending %v", log, r.End().Pending)
	}
}

// TestTheHostIsPreparedBesideTheCommit, and what fails in it is left to the apply.
func TestTheHostIsPreparedBesideTheCommit(t *testing.T) {
	t.Parallel()
	w, s := world()
	w.Refuse = map[string]error{agentapi.VerbPrepare: errors.New("no package server")}
	r := takeover(s, deploy.Options{})
	ready := r.PrepareForData(t.Context())
	placed(t, r)
	ready()
	if err := r.ApplyHosts(t.Context()); err != nil {
		t.Error(err)
	}
	if !slices.ContainsFunc(r.End().Phases, func(p agentapi.Phase) bool { return p.Name == "prepare to restore" && !p.Ended.Before(p.Began) }) {
		t.Errorf("%+v", r.End().Phases)
	}
}

// TestACommitThatLostItsStacks before it was pushed is taken back; what was pushed stays,
// and the hint says what not to push.
func TestACommitThatLostItsStacks(t *testing.T) {
	t.Parallel()
	away := fmt.Errorf("push: %w", git.ErrGitAway)
	for name, c := range map[string]struct {
		pushes []error
		kept   bool // nothing of this run is left to undo
		undone bool
		hint   string
	}{
		"the Git host is away": {[]error{away, away}, false, true, "the commit of this run was undone"},
		"committed before":     {[]error{away, away}, true, true, "do not push your unpushed commits"},
		"it was pushed":        {nil, false, false, "git pull --rebase"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, s := world()
			w.PushErr, w.Outrun, w.Committed = c.pushes, deploy.Owner{Host: "gamma", Epoch: 9}, c.kept
			r := takeover(s, deploy.Options{GitMayBeAway: true})
			if err := errors.Join(r.TakeOver(t.Context()), r.Seal(t.Context())); err != nil {
				t.Fatal(err)
			}
			err := r.Place(t.Context())
			if !errors.Is(err, deploy.ErrOutrun) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if slices.Contains(w.Log(), "uncommit") != c.undone || strings.Contains(strings.Join(r.End().Pending, ""), "git push") {
				t.Errorf("asked %v, pending %v", w.Log(), r.End().Pending)
			}
			if at := s.Lock.Stacks["notes"].Host; (at == "beta") != c.undone {
				t.Errorf("the session has notes on %s", at)
			}
		})
	}
}

// TestUnclaimed names the stacks whose placement another has, or none.
func TestUnclaimed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(w *deploytest.World, s *deploy.Session)
		want   []string
	}{
		"all are claimed": {func(*deploytest.World, *deploy.Session) {}, []string{}},
		"never":           {func(w *deploytest.World, _ *deploy.Session) { delete(w.Owners, "blog") }, []string{"blog"}},
		"at another epoch": {func(w *deploytest.World, _ *deploy.Session) {
			w.Owners["notes"] = deploy.Owner{Host: "beta", Key: "age1beta", Epoch: 1}
		}, []string{"notes"}},
		"for another machine": {func(w *deploytest.World, _ *deploy.Session) {
			w.Owners["notes"] = deploy.Owner{Host: "beta", Key: "age1other", Epoch: 2}
		}, []string{"notes"}},
		"no record": {func(w *deploytest.World, s *deploy.Session) {
			w.Owners, s.Fleet.Record = nil, fleet.Location{}
		}, nil},
	} {
		w, s := world()
		c.change(w, s)
		got, err := s.Unclaimed(t.Context())
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	w, s := world()
	w.OwnersErr = errors.New("no route")
	if _, err := s.Unclaimed(t.Context()); !errors.Is(err, w.OwnersErr) {
		t.Errorf("%v", err)
	}
}
