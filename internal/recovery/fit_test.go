package recovery

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/proposal"
	"salvor/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files")

// publishes has a stack's service web publish a port.
func (h *house) publishes(stack, port string) {
	if h.Stacks == nil {
		h.Stacks = map[string]project.Rendered{}
	}
	h.Stacks[stack] = project.Rendered{Asks: map[string]project.Asks{"web": {}}, Published: []project.Published{{Service: "web", Port: project.Port{Published: port, Target: 80, Protocol: "tcp"}}}}
}

// takes has a host report a container with a port, and data of the stacks that is not there.
func (h *house) takes(host string, port int) {
	if h.States == nil {
		h.States = map[string]agentapi.HostState{}
	}
	restored := func(stack string) agentapi.Change {
		return agentapi.Change{Stack: stack, ID: "volume data", Action: "+", Cause: "restored from its newest snapshot"}
	}
	h.States[host] = agentapi.HostState{Arch: "amd64", Changes: []agentapi.Change{restored("blog"), restored("notes")}, Report: &agentapi.Report{Free: 10 << 30, Engine: &agentapi.Engine{Version: "28.0.0", Containers: []agentapi.HostContainer{
		{Name: "nginx", Project: "proxy", Ports: []project.HostPort{{Protocol: "tcp", First: port, Last: port}}},
	}}}}
}

// TestAStackThatDoesNotFit is refused before anything is committed, and left out on
// request.
func TestAStackThatDoesNotFit(t *testing.T) {
	t.Parallel()
	h := newHouse("beta")
	h.publishes("blog", "80")
	h.takes("beta", 80)
	_, err := Prepare(t.Context(), h, beta())
	if err == nil || err.Error() != "blog does not fit on beta: port 80 is taken there by container nginx of project proxy" {
		t.Fatalf("%v", err)
	}
	if want := "salvor recover alpha --to beta --without blog continues with the rest; salvor recover alpha shows where each stack fits"; fault.Hint(err) != want {
		t.Errorf("hint %q", fault.Hint(err))
	}
	if diff := cmp.Diff([]string{"pin the Git host", "enrol beta"}, h.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}

	o := beta()
	o.Without = []string{"blog"}
	p := prepared(t, h, o)
	if p.Question != "Recover 1 stack of alpha on beta (notes), from their newest snapshots?" {
		t.Errorf("asked %q", p.Question)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if placed := h.session.Lock.Stacks; placed["blog"].Host != "alpha" || placed["blog"].Epoch != 1 || placed["notes"].Host != "beta" {
		t.Errorf("placed %+v", placed)
	}
	if pending := strings.Join(r.Pending, "\n"); !strings.Contains(pending, "still placed on alpha, which is lost: blog; salvor recover alpha shows where they fit") {
		t.Errorf("pending:\n%s", pending)
	}
	if log := strings.Join(h.Log(), "\n"); strings.Contains(log, "claim blog") || !strings.Contains(log, "rehost [notes] on beta") {
		t.Errorf("asked:\n%s", log)
	}

	h.lock = h.session.Lock // and the rest elsewhere, later
	o = Options{Lost: "alpha", To: fleet.Host{Name: "gamma", Address: "192.0.2.3", Port: 22}, New: true, Trust: trusting}
	h.Alive["gamma"] = true
	if _, err := prepared(t, h, o).Run(t.Context(), nil); err != nil || h.session.Lock.Stacks["blog"].Host != "gamma" {
		t.Errorf("%v, placed %+v", err, h.session.Lock.Stacks)
	}
}

// TestWhatIsLeftOut says which choices of stacks there are, and what a refusal proposes.
func TestWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	gamma := fleet.Host{Name: "gamma", Address: "192.0.2.3", User: "ops", Port: 2222}
	for name, c := range map[string]struct {
		change     func(*house)
		o          Options
		text, hint string // "" where it is not refused
	}{
		"only what fits":        {nil, Options{Only: []string{"notes"}}, "", ""},
		"a new host":            {func(h *house) { h.takes("gamma", 80) }, Options{To: gamma, New: true, Trust: trusting}, "blog does not fit on gamma", "salvor recover alpha --to gamma=ops@192.0.2.3:2222 --without blog continues"},
		"under the same name":   {func(h *house) { h.takes("alpha", 80) }, Options{To: fleet.Host{Name: "alpha", Address: "192.0.2.1", Port: 22}, New: true, Trust: trusting}, "blog does not fit on alpha", "stop it there, or publish another port"},
		"only what does not":    {nil, Options{Only: []string{"blog"}}, "blog does not fit on beta", "stop it there, or publish another port; salvor recover alpha shows"},
		"neither of them":       {func(h *house) { h.publishes("notes", "80") }, Options{}, "blog does not fit on beta: port 80 is taken there by container nginx of project proxy\nnotes does not fit on beta", "stop it there, or publish another port; salvor"},
		"only, of which one":    {nil, Options{Only: []string{"blog", "notes"}}, "blog does not fit on beta", "--to beta --only notes continues"},
		"no room":               {func(h *house) { h.Sizes = map[string]int64{"notes": 6 << 30} }, Options{}, "notes does not fit on beta: its data is 6.0 GiB, and to restore it takes twice that; the host has 10.0 GiB free", "stop it there"},
		"its Compose refuses":   {func(h *house) { h.refuses("notes") }, Options{Without: []string{"blog"}}, "notes does not fit on beta: no such key", ""},
		"no such stack":         {nil, Options{Without: []string{"bolg"}}, `stack bolg is not placed on alpha, did you mean "blog"?`, "salvor host ls"},
		"all of them":           {nil, Options{Without: []string{"blog", "notes"}}, "no stack of alpha is left to recover", ""},
		"of the same name":      {nil, Options{To: fleet.Host{Name: "alpha"}, New: true, Trust: trusting, Only: []string{"notes"}}, "gets all its stacks", "--to NAME=ADDRESS with another name"},
		"a host without report": {func(h *house) { h.States = nil }, Options{}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse("beta", "gamma")
			h.publishes("blog", "80")
			h.takes("beta", 80)
			if c.change != nil {
				c.change(h)
			}
			c.o.Lost = "alpha"
			if c.o.To.Name == "" {
				c.o.To.Name = "beta"
			}
			h.Alive[c.o.To.Name] = true
			_, err := Prepare(t.Context(), h, c.o)
			if c.text == "" && err == nil {
				return
			}
			if err == nil || c.text == "" || !strings.Contains(err.Error(), c.text) || !strings.Contains(fault.Hint(err), c.hint) || len(h.Commits()) > 0 {
				t.Errorf("%v, hint %q", err, fault.Hint(err))
			}
		})
	}
}

// refuses has beta's Compose refuse a stack.
func (h *house) refuses(stack string) {
	state := h.States["beta"]
	state.Findings = []finding.Finding{{Code: finding.ComposeRefused, Severity: finding.Fatal, Subject: "beta/" + stack, Text: "no such key", Fix: "write another"}}
	h.States["beta"] = state
}

// TestALimitIsOnlyNoted: a stack with a limit above the host's memory may run well.
func TestALimitIsOnlyNoted(t *testing.T) {
	t.Parallel()
	h := newHouse("beta")
	h.Stacks = map[string]project.Rendered{"blog": {Asks: map[string]project.Asks{"web": {MemoryLimit: 9 << 30}}}}
	h.States = map[string]agentapi.HostState{"beta": {Report: &agentapi.Report{Memory: 8 << 30}}}
	if p := prepared(t, h, beta()); p.Plan != "note: blog: web may use 9.0 GiB of memory, and the host has 8.0 GiB\n" {
		t.Errorf("%q", p.Plan)
	}
}

// TestARecoveryOfTheRestIsFinished although the lost host is back: what it may still run
// is what was left out.
func TestARecoveryOfTheRestIsFinished(t *testing.T) {
	t.Parallel()
	h := newHouse("beta")
	o := beta()
	o.Only = []string{"notes"}
	if _, err := prepared(t, h, o).Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	h.lock, h.Alive["alpha"] = h.session.Lock, true
	owner := h.Owners["notes"]
	owner.Host, owner.Key, owner.Epoch = "beta", "age1beta", 2
	h.Owners["notes"] = owner
	p := prepared(t, h, o)
	if r, err := p.Run(t.Context(), nil); err != nil || p.Question != "" || len(r.Hosts) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	if h.session.Lock.Stacks["blog"].Host != "alpha" {
		t.Errorf("placed %+v", h.session.Lock.Stacks)
	}
}

// TestWhereStacksFit proposes who takes over what; the golden files are what the operator sees.
func TestWhereStacksFit(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*house){
		"one": func(*house) {},
		"two": func(h *house) { h.takes("gamma", 9000); h.publishes("notes", "9000") },
		"left": func(h *house) {
			h.publishes("notes", "80")
			h.Sizes = map[string]int64{"blog": 4 << 30, "notes": 3 << 30}
		},
		"away": func(h *house) { h.Alive["gamma"] = false; h.refuses("notes") },
		"old":  func(h *house) { delete(h.States, "gamma") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse("beta", "gamma")
			h.fleet.Hosts = append(h.fleet.Hosts, fleet.Host{Name: "gamma"})
			h.publishes("blog", "80")
			h.takes("beta", 80)
			h.takes("gamma", 443)
			change(h)
			where, err := Look(t.Context(), h, Options{Lost: "alpha"}, progress.Discard())
			if err != nil || len(h.Log()) > 0 {
				t.Fatalf("%v, asked %v", err, h.Log())
			}
			var out bytes.Buffer
			where.Render(terminal.NewPage(&out, false))
			golden := "testdata/where-" + name + ".golden"
			if *update {
				if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), out.String()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// spread looks and prepares what comes of it.
func spread(t *testing.T, h *house, o Options) (proposal.Proposal[deploy.Receipt], error) {
	t.Helper()
	where, err := Look(t.Context(), h, o, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	return PrepareSpread(t.Context(), h, o, where)
}

// divided has blog fit on gamma alone, and notes on beta alone.
func divided() *house {
	h := newHouse("beta", "gamma")
	h.fleet.Hosts = append(h.fleet.Hosts, fleet.Host{Name: "gamma"})
	h.publishes("blog", "80")
	h.publishes("notes", "9000")
	h.takes("beta", 80)
	h.takes("gamma", 9000)
	return h
}

// TestEachWhereItFits recovers on several hosts with one question and one commit.
func TestEachWhereItFits(t *testing.T) {
	t.Parallel()
	h := divided()
	p, err := spread(t, h, Options{Lost: "alpha"})
	if err != nil || p.Question != "Recover 2 stacks of alpha on beta (notes), gamma (blog), from their newest snapshots?" || p.Title != "recover alpha on beta, gamma" {
		t.Fatalf("%+v, %v", p, err)
	}
	r, err := p.Run(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	log := h.Log()
	want := []string{
		"pin the Git host", "enrol beta", "enrol gamma", "rehost [notes] on beta", "rehost [blog] on gamma", "push", "seal blog notes",
		"commit recover: placements", "push", "claim blog for gamma at 2", "claim notes for beta at 2",
	}
	if diff := cmp.Diff(want, log[:len(log)-2]); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if r.Placed["blog"] != "gamma" || r.Placed["notes"] != "beta" || len(r.Hosts) != 2 || len(h.Commits()) != 1 {
		t.Errorf("receipt %+v", r)
	}
}

// TestASpreadIsFinished after it was interrupted between its commit and its claims.
func TestASpreadIsFinished(t *testing.T) {
	t.Parallel()
	h := divided()
	h.Outrun = deploy.Owner{Host: "delta", Epoch: 9} // which no claim survives
	p, err := spread(t, h, Options{Lost: "alpha"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err == nil || h.session.Lock.Stacks["blog"].Host != "gamma" {
		t.Fatalf("%v, placed %+v", err, h.session.Lock.Stacks)
	}
	h.lock, h.Outrun = h.session.Lock, deploy.Owner{}
	o := Options{Lost: "alpha"}
	where, err := Look(t.Context(), h, o, progress.Discard())
	if diff := cmp.Diff(map[string][]string{"beta": {"notes"}, "gamma": {"blog"}}, where.To); err != nil || diff != "" {
		t.Fatalf("%v (-want +got)\n%s", err, diff)
	}
	p, err = PrepareSpread(t.Context(), h, o, where)
	if err != nil || p.Question != "" {
		t.Fatalf("asked %q, %v", p.Question, err)
	}
	if r, err := p.Run(t.Context(), nil); err != nil || len(r.Hosts) != 2 || len(h.Commits()) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	log := strings.Join(h.Log(), "\n")
	for _, claim := range []string{"claim blog for gamma at 2", "claim notes for beta at 2"} {
		if !strings.Contains(log, claim) {
			t.Errorf("no %q in\n%s", claim, log)
		}
	}
}

// TestWhatFitsNowhere is refused with the way out; without it the rest is recovered.
func TestWhatFitsNowhere(t *testing.T) {
	t.Parallel()
	h := divided()
	h.takes("gamma", 80)
	_, err := spread(t, h, Options{Lost: "alpha"})
	hint := "salvor recover alpha --without blog continues with the rest; salvor recover alpha --to NAME=ADDRESS: a new host takes any of them"
	if err == nil || err.Error() != "no host takes blog next to the others" || fault.Hint(err) != hint || len(h.Log()) > 0 {
		t.Errorf("%v, hint %q, asked %v", err, fault.Hint(err), h.Log())
	}
	if p, err := spread(t, h, Options{Lost: "alpha", Without: []string{"blog"}}); err != nil || !strings.HasPrefix(p.Question, "Recover 1 stack of alpha on gamma (notes),") && !strings.HasPrefix(p.Question, "Recover 1 stack of alpha on beta (notes),") {
		t.Errorf("without it: %q, %v", p.Question, err)
	}
	_, err = spread(t, h, Options{Lost: "alpha", Only: []string{"blog"}})
	if err == nil || err.Error() != "no host takes blog" || strings.Contains(fault.Hint(err), "--without") {
		t.Errorf("alone: %v, hint %q", err, fault.Hint(err))
	}
}

// TestNowhereToLook: there is nothing to place, or no host to place it on.
func TestNowhereToLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lost       string
		change     func(*house)
		text, hint string
	}{
		"no such host":     {"delta", func(*house) {}, "host delta is not declared", "salvor host ls"},
		"nothing is there": {"beta", func(*house) {}, "nothing is placed on beta", "salvor host ls; if its recovery was interrupted, salvor apply finishes it"},
		"none answers":     {"alpha", func(h *house) { delete(h.Alive, "beta") }, "no other host answers", "salvor recover alpha --to NAME=ADDRESS"},
		"no other host":    {"alpha", func(h *house) { h.fleet.Hosts = h.fleet.Hosts[:1] }, "recover needs the new host", "salvor recover alpha --to NAME=ADDRESS"},
	} {
		h := newHouse()
		c.change(h)
		if _, err := Look(t.Context(), h, Options{Lost: c.lost}, progress.Discard()); err == nil || !strings.Contains(err.Error(), c.text) || fault.Hint(err) != c.hint {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
	}
}

// TestASpreadOfSomeIsFinished with the same command: what stays on the lost host is not it.
func TestASpreadOfSomeIsFinished(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{"without": {Without: []string{"blog"}}, "only": {Only: []string{"notes"}}} {
		h := divided()
		o.Lost = "alpha"
		p, err := spread(t, h, o)
		if err != nil {
			t.Fatal(err)
		}
		h.Outrun = deploy.Owner{Host: "delta", Epoch: 9} // which no claim survives
		if _, err := p.Run(t.Context(), nil); err == nil {
			t.Fatalf("%s: nothing was interrupted", name)
		}
		h.lock, h.Outrun = h.session.Lock, deploy.Owner{}
		p, err = spread(t, h, o)
		if err != nil || p.Question != "" {
			t.Errorf("%s: %q, %v", name, p.Question, err)
		}
	}
	none := Options{Lost: "alpha", Without: []string{"blog", "notes"}}
	if _, err := Look(t.Context(), divided(), none, progress.Discard()); err == nil || !strings.Contains(err.Error(), "no stack of alpha is left to recover") {
		t.Errorf("without all: %v", err)
	}
}
