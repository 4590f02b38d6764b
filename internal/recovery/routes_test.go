package recovery

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/route"
	"salvor/internal/secret"
)

// serves has alpha itself serve a NAS.
func (h *house) serves() *house {
	h.fleet.Ingress = fleet.Ingress{
		Provider: fleet.IngressCloudflare, Account: "a1", Token: secret.ParseSetting("secret:cloudflare"),
		Routes: []fleet.HostRoute{{Host: "alpha", Declared: route.Declared{Hostname: "nas.example.com", Service: "https://192.0.2.5:5001"}}},
	}
	h.lock.Hosts = map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 1}}
	return h
}

// TestTheRoutesOfALostHost move in the commit of its stacks, and what it was asked to publish
// counts no more; or they stay, and the receipt says so.
func TestTheRoutesOfALostHost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		only, without []string
		moves         bool
		stacks        string
	}{
		"all":                {nil, nil, true, "blog notes"},
		"without a stack":    {nil, []string{"blog"}, true, "notes"},
		"without the routes": {nil, []string{"host.alpha"}, false, "blog notes"},
		"only a stack":       {[]string{"notes"}, nil, false, "notes"},
		"only the routes":    {[]string{"host.alpha"}, nil, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, o := newHouse("beta").serves(), beta()
			o.Only, o.Without = c.only, c.without
			p := prepared(t, h, o)
			if said := strings.Contains(p.Plan, "note: beta serves nas.example.com, which alpha did; it has to reach https://192.0.2.5:5001\n"); said != c.moves {
				t.Errorf("the plan says %q", p.Plan)
			}
			if c.stacks == "" && p.Question != "Have beta serve the routes of alpha?" {
				t.Errorf("asked %q", p.Question)
			}
			r, err := p.Run(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			log, pending := strings.Join(h.Log(), "\n"), strings.Join(r.Pending, "\n")
			if moved := strings.Contains(log, "routes of alpha on beta"); moved != c.moves || strings.Contains(log, "claim") == (c.stacks == "") || !strings.HasSuffix(log, "beta applies") {
				t.Errorf("asked:\n%s", log)
			}
			if placed := h.session.Lock; placed.Hosts["alpha"].Epoch != map[bool]int{true: 2, false: 1}[c.moves] || c.stacks != "" && placed.Stacks["notes"].Host != "beta" || c.stacks == "" && placed.Stacks["notes"].Host != "alpha" {
				t.Errorf("placed %+v", placed)
			}
			if commits := h.Commits(); len(commits) != 1 || c.moves != has(commits[0].Files, fleet.File) {
				t.Errorf("commits %+v", commits)
			}
			if stays := "still led to alpha, which is lost: nas.example.com; salvor recover alpha --to HOST --only host.alpha"; strings.Contains(pending, stays) == c.moves {
				t.Errorf("pending:\n%s", pending)
			}
			if fenced := strings.Contains(pending, "at most 1m0s"); fenced == (c.stacks == "") {
				t.Errorf("pending:\n%s", pending)
			}
			h.lock = h.session.Lock // run again
			if again, err := Prepare(t.Context(), h, o); c.moves && c.stacks == "blog notes" && (err != nil || again.Question != "") {
				t.Errorf("again: %+v, %v", again, err)
			}
		})
	}
}

func has(files map[string][]byte, name string) bool {
	_, is := files[name]
	return is
}

// TestAHostWithRoutesAlone is lost.
func TestAHostWithRoutesAlone(t *testing.T) {
	t.Parallel()
	alone := func(alive ...string) *house {
		h := newHouse(alive...).serves()
		h.lock.Stacks = nil
		return h
	}
	h := alone("beta")
	if _, err := prepared(t, h, beta()).Run(t.Context(), nil); err != nil || h.session.Lock.Hosts["alpha"].Epoch != 2 || h.session.Lock.Hosts["beta"].Epoch != 1 {
		t.Errorf("%v, placed %+v", err, h.session.Lock.Hosts)
	}
	_, err := Look(t.Context(), alone("beta"), Options{Lost: "alpha"}, nil)
	if err == nil || err.Error() != "alpha leaves only routes to take over: nas.example.com" || !strings.Contains(fault.Hint(err), "salvor recover alpha --to HOST") {
		t.Errorf("%v, %s", err, fault.Hint(err))
	}
	_, err = Prepare(t.Context(), alone("alpha", "beta"), beta())
	if !errors.Is(err, ErrAlive) || !strings.Contains(fault.Hint(err), "host: beta in ingress.routes of fleet.yaml") {
		t.Errorf("%v, %s", err, fault.Hint(err))
	}
}

// TestOfSeveralHostsOneServesTheRoutes: the one that publishes anyway.
func TestOfSeveralHostsOneServesTheRoutes(t *testing.T) {
	t.Parallel()
	for _, publishes := range []bool{true, false} {
		h := newHouse("beta", "gamma").serves()
		h.fleet.Hosts = append(h.fleet.Hosts, fleet.Host{Name: "gamma"})
		i := slices.IndexFunc(h.fleet.Stacks, func(s fleet.Stack) bool { return s.Name == "notes" })
		h.fleet.Stacks[i].Publishes = publishes
		p, err := PrepareSpread(t.Context(), h, Options{Lost: "alpha"}, Where{Lost: "alpha", To: map[string][]string{"beta": {"blog"}, "gamma": {"notes"}}})
		want := map[bool]string{true: "gamma", false: "beta"}[publishes]
		if err != nil || !strings.HasPrefix(p.Plan, "note: "+want+" serves nas.example.com") {
			t.Fatalf("%q, %v", p.Plan, err)
		}
		if _, err := p.Run(t.Context(), nil); err != nil || !slices.Contains(h.Log(), "routes of alpha on "+want) {
			t.Errorf("%v, asked %v", err, h.Log())
		}
	}
}

// TestAMachineThatReplacesAnother has its routes already, and a tunnel of its own.
func TestAMachineThatReplacesAnother(t *testing.T) {
	t.Parallel()
	h := newHouse("alpha").serves()
	o := Options{Lost: "alpha", To: fleet.Host{Name: "alpha", Address: "192.0.2.1", Port: 22}, New: true, Trust: trusting}
	h.exposed.Tunnels = []string{"that of the new machine"}
	p := prepared(t, h, o)
	r, err := p.Run(t.Context(), nil)
	if err != nil || p.Plan != "" || h.session.Lock.Hosts["alpha"].Epoch != 2 || !slices.Contains(h.Log(), "routes of alpha on alpha") {
		t.Errorf("%v, plan %q, placed %+v, asked %v", err, p.Plan, h.session.Lock.Hosts, h.Log())
	}
	if left := strings.Join(r.Pending, "\n"); !strings.Contains(left, "the token of its tunnel salvor-home.alpha,") {
		t.Errorf("pending:\n%s", left)
	}
	h.lock = h.session.Lock
	if resumed := (&recovery{Options: o, fleet: h}).itsTunnels(); !slices.Equal(resumed, []string{"salvor-home.alpha"}) {
		t.Errorf("run again, the machine before has %v", resumed)
	}
}

// TestAFleetThatIsEditedByHand: nothing was committed, and the rest can be recovered.
func TestAFleetThatIsEditedByHand(t *testing.T) {
	t.Parallel()
	h := newHouse("beta").serves()
	h.byHand = errors.New("fleet.yaml: edit it by hand")
	_, err := prepared(t, h, beta()).Run(t.Context(), nil)
	if !errors.Is(err, h.byHand) || !strings.Contains(fault.Hint(err), "--without host.alpha") || len(h.Commits()) > 0 {
		t.Errorf("%v, %s, commits %v", err, fault.Hint(err), h.Commits())
	}
}

// TestARecoveryDoesNotNeedCloudflare: it has gone well, and the hostnames are left.
func TestARecoveryDoesNotNeedCloudflare(t *testing.T) {
	t.Parallel()
	h := newHouse("beta").serves()
	h.Routes = &agentapi.RoutesReceipt{Pending: []string{"nas.example.com", "notes.example.com"}, Why: "Cloudflare does not answer"}
	r, err := prepared(t, h, beta()).Run(t.Context(), nil)
	want := "not live yet: nas.example.com, notes.example.com: Cloudflare does not answer; beta goes on trying, and salvor route ls shows how far it is"
	if err != nil || r.Err() != nil || !slices.Contains(r.Pending, want) {
		t.Errorf("%v, %v, pending:\n%s", err, r.Err(), strings.Join(r.Pending, "\n"))
	}
}
