package apply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/deploy/deploytest"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
)

// house is a fleet with blog on alpha and notes on beta, applied and up to date.
type house struct {
	deploytest.World
	lock    fleet.Lock
	found   []finding.Finding // about the commit
	inClear []finding.Finding
	clone   []finding.Finding // about it
	grants  []grant.Grant
	refused error // of the grants
	fleet   *Fleet
	session *deploy.Session
}

func newHouse() *house {
	volumes := map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0)}}
	h := &house{lock: fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"blog": {Host: "alpha", Epoch: 1, Volumes: volumes}, "notes": {Host: "beta", Epoch: 2, Volumes: volumes},
	}}}
	h.Alive = map[string]bool{"alpha": true, "beta": true}
	h.Owners = map[string]deploy.Owner{"blog": {Host: "alpha", Key: "age1alpha", Epoch: 1}, "notes": {Host: "beta", Key: "age1beta", Epoch: 2}}
	h.States = map[string]agentapi.HostState{}
	h.fleet = &Fleet{Declared: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "blog", Host: "alpha"}, {Name: "notes", Host: "beta"}}}}
	h.fleet.InClear = func(context.Context) ([]finding.Finding, error) { return h.inClear, nil }
	h.fleet.AboutClone = func(context.Context) ([]finding.Finding, error) { return h.clone, nil }
	h.fleet.PinGitHost = func(context.Context) error { h.Note("pin the Git host"); return nil }
	h.fleet.Grants = func(context.Context, fleet.Lock) ([]grant.Grant, error) { return h.grants, nil }
	h.fleet.Confirm = func(context.Context, fleet.Lock) error { h.Note("confirm grants"); return h.refused }
	h.fleet.Delivered = func(context.Context) error { h.Note("delivered"); return errors.New("ledger away") }
	h.fleet.LetRead = func(_ context.Context, unread bool) error { h.Note("let hosts read, unread %t", unread); return nil }
	h.fleet.RenewMirror = func(context.Context) error { h.Note("renew the mirror"); return errors.New("mirror away") }
	h.fleet.Session = func(_ context.Context, sink progress.Sink) (*deploy.Session, error) {
		h.session = h.Session(h.fleet.Declared, h.lock)
		h.session.Sink = sink
		return h.session, nil
	}
	return h
}

func (h *house) changes(host string, all ...agentapi.Change) {
	h.States[host] = agentapi.HostState{Changes: all, Fingerprint: "f"}
}

func (h *house) prepared(t *testing.T, o Options) (*Planned, proposal.Proposal[deploy.Receipt]) {
	t.Helper()
	planned, err := Prepare(t.Context(), h.fleet, o, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	p, err := planned.Propose(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return planned, p
}

func starts(stack string) agentapi.Change {
	return agentapi.Change{Stack: stack, ID: "services", Action: "~", Cause: "it does not run"}
}

func fatal(stack, text string) finding.Finding {
	return finding.Finding{Code: finding.VolumeKept, Severity: finding.Fatal, Subject: "alpha/" + stack, Stack: stack, Text: text, Fix: "look at it"}
}

// TestTheOrderOfAnApply: nothing is committed, stopped or started before the proposal
// runs, but the Git host's key.
func TestTheOrderOfAnApply(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Stacks[1].Host = "alpha" // notes moves
	planned, p := h.prepared(t, Options{})
	if p.Question != "Apply to home?" || p.Name != "" || p.Title != "apply to home" {
		t.Errorf("%+v", p)
	}
	before := []string{"pin the Git host", "confirm grants"}
	if diff := cmp.Diff(before, h.Log()); diff != "" {
		t.Errorf("to prepare (-want +got):\n%s", diff)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil || r.Kind != deploy.KindApply || r.Placed["notes"] != "alpha" {
		t.Fatalf("%+v, %v", r, err)
	}
	want := append(before, "push", "seal notes", "beta releases notes at 2", "commit apply: placements", "push", "claim notes for alpha at 3", "beta releases notes at 2")
	if diff := cmp.Diff(want, h.Log()[:len(want)]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if last := h.Log()[len(h.Log())-2:]; !slices.Equal(last, []string{"delivered", "let hosts read, unread false"}) || planned.Aside() == nil || planned.Left() != nil {
		t.Errorf("%s last; aside %v, left %v", last, planned.Aside(), planned.Left())
	}
}

// TestNothingToDo asks nothing, and brings the mirror up to date.
func TestNothingToDo(t *testing.T) {
	t.Parallel()
	h := newHouse()
	planned, p := h.prepared(t, Options{})
	r, err := p.Run(t.Context(), nil)
	if err != nil || p.Question != "" || r.Kind != "" || len(h.Commits()) > 0 {
		t.Errorf("%+v, %+v, %v", p, r, err)
	}
	if diff := cmp.Diff([]string{"pin the Git host", "confirm grants", "renew the mirror", "let hosts read, unread false"}, h.Log()); diff != "" || planned.Aside() == nil {
		t.Errorf("aside %v, asked (-want +got):\n%s", planned.Aside(), diff)
	}
}

// TestAnEmptyPlanRecordsWhatIsMissing: a claim that was lost is made again, although no
// host has anything to do.
func TestAnEmptyPlanRecordsWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := newHouse()
	delete(h.Owners, "notes")
	_, p := h.prepared(t, Options{})
	if r, err := p.Run(t.Context(), nil); err != nil || r.Kind != deploy.KindApply || !slices.Contains(h.Log(), "claim notes for beta at 2") {
		t.Errorf("%+v, %v, asked %v", r, err, h.Log())
	}
}

// TestDataThatMayBeLost is confirmed by the name of the stack whose it is, or by the
// fleet's where it is that of several.
func TestDataThatMayBeLost(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.changes("beta", agentapi.Change{Stack: "notes", ID: "volume old", Action: "-", Destroys: "volume old of notes"})
	_, p := h.prepared(t, Options{})
	if p.Question != "This may lose data: volume old of notes" || p.Name != "notes" || len(p.Loses) != 1 {
		t.Errorf("%+v", p)
	}
	h.changes("alpha", agentapi.Change{Stack: "blog", ID: "volume data", Action: "-", Destroys: "volume data of blog"})
	if _, p := h.prepared(t, Options{}); p.Name != "home" || len(p.Loses) != 2 {
		t.Errorf("%+v", p)
	}
}

// TestWhatIsRefused: nothing is begun.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	broken := finding.Finding{Code: finding.StackBroken, Severity: finding.Fatal, Subject: "compose.yaml:3", Stack: "blog", Text: "no such key", Fix: "correct it"}
	for name, c := range map[string]struct {
		change     func(h *house)
		text, hint string
		code       int
	}{
		"the fleet": {func(h *house) {
			h.found = []finding.Finding{{Code: finding.RemoteInvalid, Severity: finding.Fatal, Subject: "nas", Text: "no type"}}
		}, "no type", "", fault.General},
		"no stack loads": {func(h *house) {
			h.found = []finding.Finding{broken}
			h.fleet.Declared.Stacks[0].Broken, h.fleet.Declared.Stacks[1].Broken = true, true
		}, "compose.yaml:3: no such key", "correct it", fault.General},
		"a host is away": {func(h *house) { h.Alive["beta"] = false }, "not every host could be reached: beta", "salvor apply --partial", fault.Unreachable},
		"a grant":        {func(h *house) { h.refused = errors.New("not confirmed") }, "not confirmed", "", fault.General},
		"a secret in clear": {func(h *house) {
			h.inClear = []finding.Finding{{Code: finding.SecretInClear, Severity: finding.Fatal, Subject: "a.env:1", Text: "a password"}}
		}, "a password", "", fault.General},
		"a name that was used": {func(h *house) {
			h.fleet.Declared.Stacks = append(h.fleet.Declared.Stacks, fleet.Stack{Name: "wiki", Host: "beta"})
			h.Used = []string{"nas:wiki"}
		}, "stack wiki is new, but there are snapshots under its name: nas:wiki", "salvor apply --restore wiki", fault.General},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			h.changes("alpha", starts("blog"))
			c.change(h)
			h.fleet.Findings = h.found
			planned, err := Prepare(t.Context(), h.fleet, Options{}, progress.Discard())
			if err == nil {
				_, err = planned.Propose(t.Context(), nil)
			}
			if err == nil || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
			if code, set := fault.Code(err); set && code != c.code || !set && c.code != fault.General {
				t.Errorf("code %d", code)
			}
			if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "applies") || strings.Contains(log, "commit") {
				t.Errorf("asked:\n%s", log)
			}
		})
	}
}

// TestAPartialApply leaves hosts out that can't be reached.
func TestAPartialApply(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.Alive["beta"] = false
	h.changes("alpha", starts("blog"))
	planned, p := h.prepared(t, Options{Partial: true})
	if diff := cmp.Diff([]string{"beta"}, planned.Plan.Unreachable()); diff != "" {
		t.Error(diff)
	}
	if _, err := p.Run(t.Context(), nil); err != nil || !slices.Contains(h.Log(), "alpha applies") || slices.Contains(h.Log(), "beta applies") {
		t.Errorf("%v, asked %v", err, h.Log())
	}
}

// TestAStackWithAProblemKeepsNoOther: it is left as it runs and gets no new seal, the
// others are applied, and the end says so.
func TestAStackWithAProblemKeepsNoOther(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(h *house)
		text   string
	}{
		"on its host": {func(h *house) {
			h.States["alpha"] = agentapi.HostState{Findings: []finding.Finding{fatal("blog", "data is there")}, Changes: []agentapi.Change{starts("blog")}}
		}, "blog is left running as it is"},
		"taken over": {func(h *house) { h.Owners["blog"] = deploy.Owner{Host: "gamma", Key: "age1gamma", Epoch: 7} }, "gamma claimed epoch 7"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse()
			h.Stale = map[string]string{"blog": "its inputs changed", "notes": "its inputs changed"}
			h.changes("beta", starts("notes"))
			c.change(h)
			planned, p := h.prepared(t, Options{})
			if diff := cmp.Diff([]string{"blog"}, planned.Plan.Left); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
			if slices.ContainsFunc(planned.Plan.Hosts, func(hp deploy.HostPlan) bool {
				return slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool { return c.Stack == "blog" && c.Kind() == agentapi.ChangeSecrets })
			}) {
				t.Errorf("it would be sealed: %+v", planned.Plan.Hosts)
			}
			if _, err := p.Run(t.Context(), nil); err != nil || !slices.Contains(h.Log(), "beta applies") {
				t.Errorf("%v, asked %v", err, h.Log())
			}
			err := planned.Left()
			if code, _ := fault.Code(err); err == nil || code != fault.Partial || !strings.Contains(err.Error(), c.text) {
				t.Errorf("left: %v, code %d", err, code)
			}
		})
	}
}

// TestAStackThatDoesNotFit is left as it runs before anything is stopped. One that stays for
// that may be in the way of another.
func TestAStackThatDoesNotFit(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Stacks = []fleet.Stack{{Name: "blog", Host: "beta"}, {Name: "notes", Host: "alpha"}} // they change places
	takes := func(port string) project.Rendered {
		return project.Rendered{Asks: map[string]project.Asks{"web": {}}, Published: []project.Published{{Service: "web", Port: project.Port{Published: port, Protocol: "tcp"}}}}
	}
	h.Stacks = map[string]project.Rendered{"blog": takes("80"), "notes": takes("80")}
	runs := func(stack string, epoch int, others ...agentapi.HostContainer) agentapi.HostState {
		own := agentapi.HostContainer{Name: stack + "-web-1", Project: stack, Ports: []project.HostPort{{Protocol: "tcp", First: 80, Last: 80}}}
		return agentapi.HostState{Stacks: []agentapi.StackState{{Name: stack, Epoch: epoch, Hash: "h", Wanted: true}}, Report: &agentapi.Report{Engine: &agentapi.Engine{Containers: append(others, own)}}}
	}
	h.States = map[string]agentapi.HostState{"alpha": runs("blog", 1), "beta": runs("notes", 2)}
	if planned, _ := h.prepared(t, Options{}); len(planned.Plan.Findings) > 0 || len(planned.moves) != 2 {
		t.Errorf("they can't change places: %+v", planned.Plan.Findings)
	}

	h.fleet.Declared.Stacks[0].Broken, h.fleet.Declared.Stacks[1].Broken = false, false
	h.States["beta"] = runs("notes", 2, agentapi.HostContainer{Name: "nginx", Ports: []project.HostPort{{Protocol: "tcp", First: 80, Last: 80}}})
	planned, err := Prepare(t.Context(), h.fleet, Options{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range planned.Plan.Findings {
		said = append(said, string(f.Severity)+" "+f.String()+" "+f.Fix)
	}
	want := []string{
		"fatal alpha/notes: port 80 is taken there by container blog-web-1 of project blog [does-not-fit] stop it there, or publish another port; or choose another host for notes: host: under x-salvor in its Compose file",
		"fatal beta/blog: port 80 is taken there by container nginx [does-not-fit] stop it there, or publish another port; or choose another host for blog: host: under x-salvor in its Compose file",
	}
	if diff := cmp.Diff(want, said); diff != "" || len(planned.moves) > 0 {
		t.Errorf("moves %v (-want +got):\n%s", planned.moves, diff)
	}
}

// TestTwoStacksWantTheSame: the second is named before anything is placed, and left out.
func TestTwoStacksWantTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Stacks = append(h.fleet.Declared.Stacks, fleet.Stack{Name: "shop", Host: "alpha"}, fleet.Stack{Name: "wiki", Host: "alpha"})
	takes := project.Rendered{
		Asks: map[string]project.Asks{"web": {}}, Containers: []project.Container{{Name: "front", Service: "web"}},
		Published: []project.Published{{Service: "web", Port: project.Port{Published: "8080", Protocol: "tcp"}}},
	}
	h.Stacks = map[string]project.Rendered{"shop": takes, "wiki": takes}
	h.States = map[string]agentapi.HostState{"alpha": {Report: &agentapi.Report{Engine: &agentapi.Engine{Version: "28.0.0"}}}}
	planned, err := Prepare(t.Context(), h.fleet, Options{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, f := range planned.Plan.Findings {
		said = append(said, f.String())
	}
	want := []string{
		"alpha/wiki: port 8080 is taken there by web of stack shop [does-not-fit]",
		"alpha/wiki: the container name front is taken there by web of stack shop [does-not-fit]",
	}
	if diff := cmp.Diff(want, said); diff != "" || len(planned.moves) != 1 || planned.moves[0].Stack != "shop" {
		t.Errorf("moves %+v (-want +got):\n%s", planned.moves, diff)
	}
}

// TestAPlanSaysAll: what is found about the commit, in it, and of hosts, once each and
// worst first, with the grants. Asked alone it changes nothing.
func TestAPlanSaysAll(t *testing.T) {
	t.Parallel()
	h := newHouse()
	late := finding.Finding{Code: finding.SnapshotLate, Severity: finding.Warning, Subject: "notes", Text: "late"}
	h.fleet.Findings = []finding.Finding{late}
	h.inClear = []finding.Finding{{Code: finding.SecretInClear, Severity: finding.Fatal, Subject: "a.env:1", Text: "a password"}}
	h.States["beta"] = agentapi.HostState{Findings: []finding.Finding{late}}
	h.grants = []grant.Grant{{Name: "host/alpha"}}
	h.Stale = map[string]string{"notes": "its inputs changed"}
	p, err := Plan(t.Context(), h.fleet, Scope{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var codes []finding.Code
	for _, f := range p.Findings {
		codes = append(codes, f.Code)
	}
	if diff := cmp.Diff([]finding.Code{finding.SecretInClear, finding.SnapshotLate}, codes); diff != "" || len(p.Grants) != 1 || p.Empty() {
		t.Errorf("%+v (-want +got):\n%s", p, diff)
	}
	if len(h.Log()) > 0 {
		t.Errorf("asked %v", h.Log())
	}
}

// TestWhatWasSaidAboutData goes to the hosts, and lets a name be used again.
func TestWhatWasSaidAboutData(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Stacks = append(h.fleet.Declared.Stacks, fleet.Stack{Name: "wiki", Host: "beta"})
	h.Used = []string{"nas:wiki"}
	_, p := h.prepared(t, Options{Consent: map[string]project.Consent{"wiki": project.ConsentRestore}})
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	stacks := h.Applied("beta").Host.Stacks
	if i := slices.IndexFunc(stacks, func(st agentapi.Stack) bool { return st.Name == "wiki" }); i < 0 || stacks[i].Consent != project.ConsentRestore {
		t.Errorf("%+v", stacks)
	}
}

// TestTheNewPlanOfAHost: one that changed meanwhile and has more to do is shown again.
func TestTheNewPlanOfAHost(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.changes("alpha", starts("blog"))
	h.Moved = map[string]int{"alpha": 1}
	planned, err := Prepare(t.Context(), h.fleet, Options{}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	var again []deploy.Plan
	p, err := planned.Propose(t.Context(), func(p deploy.Plan) error { again = append(again, p); return errors.New("no") })
	if err != nil {
		t.Fatal(err)
	}
	h.changes("alpha", starts("blog"), agentapi.Change{Stack: "blog", ID: "volume old", Action: "-", Destroys: "volume old of blog"})
	if _, err := p.Run(t.Context(), nil); err == nil || err.Error() != "no" || len(again) != 1 {
		t.Fatalf("%v, shown %+v", err, again)
	}
	if question, name, err := planned.Question(t.Context(), &again[0]); err != nil || name != "blog" || !strings.Contains(question, "volume old of blog") {
		t.Errorf("%q, %q, %v", question, name, err)
	}
}

// TestOnlySomeStacks: what is asked for is deployed, with the stacks that it needs; all
// others stay as they are: on their hosts, in the lock and in the record.
func TestOnlySomeStacks(t *testing.T) {
	t.Parallel()
	house := func() *house {
		h := newHouse()
		h.lock.Stacks["gone"] = fleet.Placement{Host: "alpha", Epoch: 5}
		h.lock.Stacks["wiki"] = fleet.Placement{Host: "beta", Epoch: 3}
		h.fleet.Declared.Stacks = []fleet.Stack{{Name: "blog", Host: "alpha"}, {Name: "fresh", Host: "alpha"}, {Name: "notes", Host: "alpha"}, {Name: "wiki", Host: "alpha", Needs: []string{"blog"}}}
		h.fleet.Declared.Record.Remote = "nas"
		h.Used = []string{"nas:fresh"}
		h.changes("alpha", starts("blog"))
		return h
	}
	for name, c := range map[string]struct {
		scope  Scope
		about  []string
		placed map[string]string
		others int
		asked  []string // not
	}{
		"a stack and what it needs": {Scope{Stacks: []string{"wiki"}}, []string{"blog", "wiki"}, map[string]string{"blog": "alpha", "wiki": "alpha", "notes": "beta", "gone": "alpha"}, 4, nil},
		"one of several":            {Scope{Stacks: []string{"blog"}}, []string{"blog"}, map[string]string{"blog": "alpha", "wiki": "beta", "notes": "beta", "gone": "alpha"}, 4, []string{"beta"}},
		"a removed one":             {Scope{Stacks: []string{"gone"}}, []string{"gone"}, map[string]string{"blog": "alpha", "wiki": "beta", "notes": "beta"}, 4, []string{"beta"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := house()
			planned, p := h.prepared(t, Options{Scope: c.scope})
			if diff := cmp.Diff(c.about, planned.Plan.About); diff != "" || len(planned.Plan.Left) > 0 {
				t.Errorf("about %s, left %v", diff, planned.Plan.Left)
			}
			if diff := cmp.Diff(c.asked, planned.Plan.NotAsked); diff != "" || planned.Plan.Others != c.others {
				t.Errorf("not asked %s, %d others", diff, planned.Plan.Others)
			}
			r, err := p.Run(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.placed, r.Placed); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(c.about, r.Asked); diff != "" || planned.Left() != nil || slices.Contains(h.Log(), "delivered") {
				t.Errorf("%s, left %v, asked %v", diff, planned.Left(), h.Log())
			}
			for _, other := range []string{"fresh", "notes"} {
				if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "claim "+other) || strings.Contains(log, "seal "+other) || strings.Contains(log, "releases "+other) {
					t.Errorf("%s was touched:\n%s", other, log)
				}
			}
		})
	}
}

// TestALossOfProtectionIsConfirmed before anything else is asked; without it nothing is done.
func TestALossOfProtectionIsConfirmed(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.States["alpha"] = agentapi.HostState{Changes: []agentapi.Change{
		{Stack: "blog", ID: "route b.example.com", Action: "~", Opens: "b.example.com"}, {Stack: "blog", ID: "route a.example.com/x", Action: "-", Opens: "a.example.com/x"},
	}}
	var asked []string
	_, p := h.prepared(t, Options{Unprotect: func(hostname string) error { asked = append(asked, hostname); return nil }})
	if diff := cmp.Diff([]string{"a.example.com/x", "b.example.com"}, asked); diff != "" || p.Question != "Apply to home?" {
		t.Errorf("%q (-want +got)\n%s", p.Question, diff)
	}
	no := errors.New("not typed")
	for name, unprotect := range map[string]func(string) error{"no": func(string) error { return no }, "nothing asks": nil} {
		planned, err := Prepare(t.Context(), h.fleet, Options{Unprotect: unprotect}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := planned.Propose(t.Context(), nil); err == nil || unprotect != nil && !errors.Is(err, no) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
