package recovery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/lockfile"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// house is a fleet with notes and blog on alpha; beta is declared, gamma is not.
type house struct {
	deploytest.World
	fleet   *fleet.Fleet
	lock    fleet.Lock
	exposed exposed.Host
	revived []string
	silent  error // of a host that is enrolled
	byHand  error // why fleet.yaml can't be edited
	keeps   bool  // Salvor keeps the deploy keys
	let     map[string]string
	granted func(context.Context, fleet.Lock) error
	session *deploy.Session // the last that was opened
}

func newHouse(alive ...string) *house {
	h := &house{
		fleet: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha", Address: "192.0.2.1", Port: 22}, {Name: "beta", Address: "192.0.2.2", Port: 22}},
			Stacks: []fleet.Stack{{Name: "blog", Host: "alpha"}, {Name: "notes", Host: "alpha"}}},
		lock: fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
			"blog": {Host: "alpha", Epoch: 1}, "notes": {Host: "alpha", Epoch: 1, Repositories: map[string]string{"nas": "a"}},
		}},
	}
	h.Alive = map[string]bool{}
	for _, name := range alive {
		h.Alive[name] = true
	}
	h.Owners = map[string]deploy.Owner{"blog": {Host: "alpha", Key: "age1alpha", Epoch: 1}, "notes": {Host: "alpha", Key: "age1alpha", Epoch: 1}}
	return h
}

func (h *house) Fleet() *fleet.Fleet              { return h.fleet }
func (h *house) Lock() fleet.Lock                 { return h.lock }
func (h *house) PinGitHost(context.Context) error { h.Note("pin the Git host"); return nil }

func (h *house) Reach(of fleet.Host) (func(context.Context) (machine.Machine, error), error) {
	return func(ctx context.Context) (machine.Machine, error) { return h.World.Reach(ctx, of) }, nil
}

func (h *house) AddHost(_ context.Context, to fleet.Host, key ssh.PublicKey, replaces bool) (Target, error) {
	h.Note("add %s with key %s", to.Name, key)
	if !replaces {
		h.fleet.Hosts = append(h.fleet.Hosts, to)
	}
	return Target{Files: map[string][]byte{"hosts/" + to.Name + ".pub": nil}, GitKey: "ssh-ed25519 AAAA", Replaced: replaces}, nil
}

func (h *house) Enrol(_ context.Context, to fleet.Host) (Target, error) {
	h.Note("enrol %s", to.Name)
	if h.silent != nil {
		return Target{}, h.silent
	}
	return Target{GitKey: "ssh-ed25519 AAAA"}, nil
}

func (h *house) Rehost(stacks []string, host string) (map[string][]byte, error) {
	h.Note("rehost %v on %s", stacks, host)
	return map[string][]byte{"stacks": nil}, nil
}

func (h *house) MoveRoutes(from, to string, files map[string][]byte) error {
	if h.byHand != nil || from != to && len(h.fleet.Ingress.At(from)) == 0 {
		return h.byHand
	}
	h.Note("routes of %s on %s", from, to)
	files[fleet.File] = nil
	for i := range h.fleet.Ingress.Routes {
		if h.fleet.Ingress.Routes[i].Host == from {
			h.fleet.Ingress.Routes[i].Host = to
		}
	}
	return nil
}

func (h *house) Revive(context.Context, []string) ([]string, error) { return h.revived, nil }

func (h *house) LetRead(_ context.Context, keys map[string]string) (bool, error) {
	h.let = keys
	return h.keeps, nil
}

func (h *house) Forget(host string, files map[string][]byte) error {
	files["forgot "+host] = nil
	return nil
}

func (h *house) NoteStolen(_ context.Context, host string, files map[string][]byte) error {
	h.Note("%s is stolen", host)
	files["stolen"] = nil
	return nil
}

func (h *house) Exposed(context.Context, string) (exposed.Host, error) { return h.exposed, nil }

func (h *house) Session(_ context.Context, sink progress.Sink) (*deploy.Session, error) {
	h.session = h.World.Session(h.fleet, h.lock)
	h.session.Sink, h.session.Lease = sink, time.Minute
	if h.granted != nil {
		h.session.Granted = h.granted
	}
	return h.session, nil
}

func beta() Options { return Options{Lost: "alpha", To: fleet.Host{Name: "beta"}} }

func prepared(t *testing.T, h *house, o Options) proposal.Proposal[deploy.Receipt] {
	t.Helper()
	p, err := Prepare(t.Context(), h, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTheOrderOfARecovery is the product: nothing is claimed that is not committed,
// nothing starts that is not claimed.
func TestTheOrderOfARecovery(t *testing.T) {
	t.Parallel()
	h := newHouse("beta")
	p := prepared(t, h, beta())
	if p.Question != "Recover 2 stacks of alpha on beta (blog, notes), from their newest snapshots?" || p.Name != "" {
		t.Errorf("asked %q, name %q", p.Question, p.Name)
	}
	if diff := cmp.Diff([]string{"pin the Git host", "enrol beta"}, h.Log()); diff != "" {
		t.Errorf("to prepare (-want +got):\n%s", diff)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"pin the Git host", "enrol beta", "rehost [blog notes] on beta", "push", "seal blog notes",
		"commit recover: placements", "push", "claim blog for beta at 2", "claim notes for beta at 2", "beta applies",
	}
	if diff := cmp.Diff(want, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if p := h.session.Lock.Stacks["notes"]; p.Host != "beta" || p.Epoch != 2 {
		t.Errorf("placed %+v", p)
	}
	if r.Kind != deploy.KindRecover || r.Placed["blog"] != "beta" || cmp.Diff([]string{"blog", "notes"}, r.Asked) != "" {
		t.Errorf("receipt %+v", r)
	}
	if wait := h.Applied("beta").Wait; wait["notes"] <= 0 || wait["notes"] > time.Minute {
		t.Errorf("beta waits %v for a host that may still run them", wait)
	}
	pending := strings.Join(r.Pending, "\n")
	for _, want := range []string{"let beta read the repository, unless it does already", "at most 1m0s", "alpha can still read the repository"} {
		if !strings.Contains(pending, want) {
			t.Errorf("%q is not left to do:\n%s", want, pending)
		}
	}
}

// TestALostHostIsToldToStop is fault V10: a lost host that answers stops before the
// stacks start elsewhere; one that does not answer is waited for, and the receipt
// says how long both may write. A recovery that is run again does the same.
func TestALostHostIsToldToStop(t *testing.T) {
	t.Parallel()
	for _, alive := range []bool{true, false} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprintf("alive %v, run again %v", alive, resumed), func(t *testing.T) {
				t.Parallel()
				h := newHouse("beta")
				h.Alive["alpha"] = alive
				if resumed {
					h.lock, _ = placement.Recover(h.lock, placement.Takeover{Lost: "alpha", To: "beta"})
					h.Owners = map[string]deploy.Owner{"blog": {Host: "beta", Key: "age1beta", Epoch: 2}, "notes": {Host: "beta", Key: "age1beta", Epoch: 2}}
				}
				o := beta()
				o.AcceptLoss = true
				p := prepared(t, h, o)
				r, err := p.Run(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				log, pending := strings.Join(h.Log(), "\n"), strings.Join(r.Pending, "\n")
				if strings.Contains(log, "alpha stops map[blog:2 notes:2]") != alive || strings.Contains(log, "releases") || strings.Contains(log, "rehost") == resumed {
					t.Errorf("asked:\n%s", log)
				}
				if wait := h.Applied("beta").Wait; (len(wait) == 2) == alive || !alive && (wait["notes"] <= 0 || wait["notes"] > time.Minute) {
					t.Errorf("waits %v", wait)
				}
				if strings.Contains(pending, "has stopped") != alive || strings.Contains(pending, "at most 1m0s") == alive {
					t.Errorf("pending:\n%s", pending)
				}
				if asked := len(r.Asked) == 0; asked != resumed {
					t.Errorf("it was about %v", r.Asked)
				}
			})
		}
	}
}

// TestTheLoserTakesItsCommitBack is fault V20: with the Git host away, another
// operator's claim is the one that hosts obey.
func TestTheLoserTakesItsCommitBack(t *testing.T) {
	t.Parallel()
	away := fmt.Errorf("push: %w", git.ErrGitAway)
	h := newHouse("beta")
	h.PushErr, h.Outrun = []error{away, away, away}, deploy.Owner{Host: "gamma", Epoch: 2}
	r, err := prepared(t, h, beta()).Run(t.Context(), nil)
	if !errors.Is(err, deploy.ErrOutrun) || !strings.Contains(fault.Hint(err), "undone") {
		t.Errorf("%v, hint %q", err, fault.Hint(err))
	}
	if log := h.Log(); log[len(log)-1] != "uncommit" || r.Commit != "c1" || strings.Contains(strings.Join(r.Pending, " "), "git push") {
		t.Errorf("asked %v, at %s, pending %v", log, r.Commit, r.Pending)
	}
}

// TestARecoveryWithoutTheGitHost continues: the claims fence the lost host, and the
// push is left to do.
func TestARecoveryWithoutTheGitHost(t *testing.T) {
	t.Parallel()
	away := fmt.Errorf("push: %w", git.ErrGitAway)
	h := newHouse("beta")
	h.PushErr = []error{away, away, away}
	r, err := prepared(t, h, beta()).Run(t.Context(), nil)
	if err != nil || !strings.Contains(strings.Join(r.Pending, "\n"), "when it is back: git push") {
		t.Errorf("%v, pending %v", err, r.Pending)
	}
	if log := h.Log(); log[len(log)-1] != "beta applies" {
		t.Errorf("asked %v", log)
	}
}

// TestResumedRunClaims: a run was killed after its commit. The next has nothing to
// move; it publishes and claims for the host that takes over anyway.
func TestResumedRunClaims(t *testing.T) {
	t.Parallel()
	h := newHouse("beta")
	h.lock, _ = placement.Recover(h.lock, placement.Takeover{Lost: "alpha", To: "beta"})
	p := prepared(t, h, beta())
	if p.Question != "" || p.Name != "" {
		t.Errorf("asked %q again", p.Question)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := []string{"pin the Git host", "enrol beta", "push", "claim blog for beta at 2", "claim notes for beta at 2", "beta applies"}
	if diff := cmp.Diff(want, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestARecoveryIsFinishedThoughTheHostAnswers: the first run was interrupted, and the lost host is back.
// What was placed and claimed is finished, since its later data was given up by the claim; anything else is
// refused.
func TestARecoveryIsFinishedThoughTheHostAnswers(t *testing.T) {
	t.Parallel()
	claimed := func(host string, epoch int) deploy.Owner {
		return deploy.Owner{Host: host, Key: "age1" + host, Epoch: epoch}
	}
	for name, c := range map[string]struct {
		change     func(h *house)
		text, hint string // of the refusal, "" where it is finished
	}{
		"all is claimed": {func(*house) {}, "", ""},
		"a claim is missing": {func(h *house) { h.Owners["notes"] = claimed("alpha", 1) },
			"alpha: the host answers, and notes is not claimed for beta yet", "salvor apply finishes the recovery with the data that alpha has now"},
		"claimed for another":      {func(h *house) { h.Owners["notes"] = claimed("gamma", 2) }, "notes is not claimed for beta", "salvor apply"},
		"one is still there":       {func(h *house) { h.lock.Stacks["wiki"] = fleet.Placement{Host: "alpha", Epoch: 1} }, "alpha: the host answers", "salvor move STACK --to beta"},
		"the claims can't be read": {func(h *house) { h.OwnersErr = errors.New("no route") }, "alpha: the host answers\nno route", ""},
		"another host's missing":   {func(h *house) { h.lock.Stacks["wiki"] = fleet.Placement{Host: "gamma", Epoch: 1} }, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse("alpha", "beta")
			h.lock, _ = placement.Recover(h.lock, placement.Takeover{Lost: "alpha", To: "beta"})
			h.Owners = map[string]deploy.Owner{"blog": claimed("beta", 2), "notes": claimed("beta", 2)}
			c.change(h)
			p, err := Prepare(t.Context(), h, beta())
			if c.text != "" {
				if err == nil || !errors.Is(err, ErrAlive) || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) || len(h.Commits()) > 0 {
					t.Errorf("%v, hint %q", err, fault.Hint(err))
				}
				return
			}
			if err != nil || p.Question != "" {
				t.Fatalf("%+v, %v", p, err)
			}
			r, err := p.Run(t.Context(), nil)
			if err != nil || len(r.Hosts) != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			want := []string{"pin the Git host", "enrol beta", "push", "alpha stops map[blog:2 notes:2]", "beta applies"}
			if diff := cmp.Diff(want, h.Log()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
		})
	}
}

// TestWhatIsAccepted: data that may be lost is confirmed by the host's name.
func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	o := beta()
	o.AcceptLoss = true
	h := newHouse("beta")
	p := prepared(t, h, o)
	if p.Name != "alpha" || !strings.Contains(p.Question, "Data that alpha wrote since then is lost.") || len(p.Loses) != 2 {
		t.Errorf("%+v", p)
	}
	if _, err := p.Run(t.Context(), nil); err != nil || !h.session.AcceptLoss {
		t.Errorf("%v; loss is accepted: %v", err, h.session.AcceptLoss)
	}
	h.lock = h.session.Lock
	if p := prepared(t, h, o); p.Name != "alpha" || !strings.Contains(p.Question, "Finish the recovery of alpha on beta?") {
		t.Errorf("cut short: %+v", p)
	}
}

// TestWhatIsRefused: nothing is changed where the lost host answers, or where there is
// nothing to recover or no host to recover on.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	trust := func(context.Context, fleet.Host) (ssh.PublicKey, error) { return "", errors.New("not its key") }
	for name, c := range map[string]struct {
		o          Options
		alive      []string
		text, hint string
	}{
		"no such host":     {Options{Lost: "delta", To: fleet.Host{Name: "beta"}}, nil, "host delta is not declared", "salvor host ls"},
		"it answers":       {beta(), []string{"alpha", "beta"}, "alpha: the host answers", "salvor move STACK --to beta"},
		"no such target":   {Options{Lost: "alpha", To: fleet.Host{Name: "gamma"}}, nil, "host gamma is not declared", "--to gamma=ADDRESS adds it"},
		"onto itself":      {Options{Lost: "alpha", To: fleet.Host{Name: "alpha"}}, nil, "alpha is the host that is lost", "--to alpha=ADDRESS"},
		"nothing is there": {Options{Lost: "beta", To: fleet.Host{Name: "beta", Address: "192.0.2.9"}, New: true, Trust: trusting}, nil, "nothing is placed on beta", "salvor host ls"},
		"another key":      {Options{Lost: "alpha", To: fleet.Host{Name: "gamma"}, New: true, Trust: trust}, nil, "not its key", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(c.alive...)
			_, err := Prepare(t.Context(), h, c.o)
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if len(h.Commits()) > 0 {
				t.Errorf("it committed %v", h.Commits())
			}
		})
	}
}

// TestPossible refuses what no host could take over, before one is made for it, and writes
// nothing.
func TestPossible(t *testing.T) {
	t.Parallel()
	gamma := func(lost string, only ...string) Options {
		return Options{Lost: lost, To: fleet.Host{Name: "gamma"}, New: true, Only: only}
	}
	for name, c := range map[string]struct {
		o          Options
		alive      []string
		granted    error
		text, hint string
	}{
		"possible":         {o: gamma("alpha")},
		"no such host":     {o: gamma("delta"), text: "host delta is not declared", hint: "salvor host ls"},
		"nothing is there": {o: gamma("beta"), text: "nothing is placed on beta", hint: "salvor host ls"},
		"no such stack":    {o: gamma("alpha", "wiki"), text: "stack wiki is not placed on alpha"},
		"it answers":       {o: gamma("alpha"), alive: []string{"alpha"}, text: "alpha: the host answers", hint: "salvor move STACK --to gamma"},
		"not confirmed":    {o: gamma("alpha"), granted: errors.New("not confirmed in this clone"), text: "not confirmed in this clone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(c.alive...)
			h.granted = func(context.Context, fleet.Lock) error { return c.granted }
			err := Possible(t.Context(), h, c.o)
			if (err == nil) != (c.text == "") || err != nil && (!strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint)) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if len(h.Commits()) > 0 {
				t.Errorf("it committed %v", h.Commits())
			}
		})
	}
}

func trusting(context.Context, fleet.Host) (ssh.PublicKey, error) { return "ssh-ed25519 KEY", nil }

// TestANewHost is added with the key that the operator trusts; its files are part of the
// placement's commit. What answers at the lost host's own address is the machine that
// replaces it, and is taken over from like any other.
func TestANewHost(t *testing.T) {
	t.Parallel()
	for _, to := range []fleet.Host{{Name: "gamma", Address: "192.0.2.3", Port: 22}, {Name: "alpha", Address: "192.0.2.1", Port: 22}} {
		h := newHouse(to.Name)
		r, err := prepared(t, h, Options{Lost: "alpha", To: to, New: true, Trust: trusting}).Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		log := strings.Join(h.Log(), "\n")
		if !strings.Contains(log, "add "+to.Name+" with key ssh-ed25519 KEY") || strings.Contains(log, "stops") {
			t.Errorf("asked:\n%s", log)
		}
		files := h.Commits()[0].Files
		for _, name := range []string{"hosts/" + to.Name + ".pub", "stacks", "sealed", lockfile.Name} {
			if _, has := files[name]; !has {
				t.Errorf("the placement's commit lacks %s", name)
			}
		}
		if p := h.session.Lock.Stacks["notes"]; p.Host != to.Name || p.Epoch != 2 {
			t.Errorf("placed %+v", p)
		}
		pending := strings.Join(r.Pending, "\n")
		if !strings.Contains(pending, "let "+to.Name+" read the repository: add") || strings.Contains(pending, "host remove alpha") == (to.Name == "alpha") {
			t.Errorf("pending:\n%s", pending)
		}
	}
}

// TestS19ARecoveryAfterATheft retires what the thief knows, and says so; run again it
// does neither, since the lock can't tell whether that was done.
func TestS19ARecoveryAfterATheft(t *testing.T) {
	t.Parallel()
	o := beta()
	o.Compromised = true
	h := newHouse("beta")
	h.revived = []string{"blog is deployed as of 1a2b3c4"}
	r, err := prepared(t, h, o).Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := h.session.Lock.Stacks["notes"]; len(p.Repositories) != 0 || cmp.Diff(map[string][]string{"nas": {"a"}}, p.Former) != "" {
		t.Errorf("placed %+v", p)
	}
	if _, noted := h.Commits()[0].Files["stolen"]; !noted {
		t.Error("what was stolen is in no commit")
	}
	if pending := strings.Join(r.Pending, "\n"); !strings.Contains(pending, "blog is deployed as of") || !strings.Contains(pending, "revoke the access of alpha") {
		t.Errorf("pending:\n%s", pending)
	}
	h.lock = h.session.Lock
	r, err = prepared(t, h, o).Run(t.Context(), nil)
	if pending := strings.Join(r.Pending, "\n"); err != nil || !strings.Contains(pending, "no repository was replaced now") {
		t.Errorf("run again: %v, pending:\n%s", err, pending)
	}
}

// TestTheHostThatTakesOverIsSilent: the error says what to do, and one that says it already
// stays as it is.
func TestTheHostThatTakesOverIsSilent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		hint string
	}{
		"no answer": {fmt.Errorf("beta: %w: no answer in 10s", machine.ErrUnreachable), "start beta, or have another host take over: salvor recover alpha --to HOST; salvor host ls lists the hosts"},
		"explained": {fault.WithHint(machine.ErrUnreachable, "plug it in"), "plug it in"},
		"denied":    {machine.ErrDenied, ""},
	} {
		h := newHouse()
		h.silent = c.err
		if _, err := Prepare(t.Context(), h, beta()); !errors.Is(err, c.err) || fault.Hint(err) != c.hint {
			t.Errorf("%s: %v\nhint: %s", name, err, fault.Hint(err))
		}
	}
}

// TestTheDeployKeysOfARecovery: where Salvor keeps them, nothing is left to do for the host
// that takes over, and a stolen one can't read the repository any more.
func TestTheDeployKeysOfARecovery(t *testing.T) {
	t.Parallel()
	for compromised, want := range map[bool]map[string]string{
		false: {"beta": "ssh-ed25519 AAAA"}, true: {"beta": "ssh-ed25519 AAAA", "alpha": ""},
	} {
		o, h := beta(), newHouse("beta")
		o.Compromised, h.keeps = compromised, true
		r, err := prepared(t, h, o).Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, h.let); diff != "" {
			t.Errorf("compromised %t (-want +got):\n%s", compromised, diff)
		}
		if _, forgot := h.Commits()[0].Files["forgot alpha"]; forgot != compromised {
			t.Errorf("compromised %t: its key is forgotten: %t", compromised, forgot)
		}
		pending := strings.Join(r.Pending, "\n")
		if strings.Contains(pending, "let beta read") || strings.Contains(pending, "alpha can still read") == compromised {
			t.Errorf("compromised %t: pending:\n%s", compromised, pending)
		}
	}
}
