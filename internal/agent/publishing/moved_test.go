package publishing

import (
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/route"
)

const tokenOfBeta = "cfat_beta"

// A pair are two hosts with one account: notes and nas are alpha's, and become beta's.
type pair struct {
	alpha, beta *stand
	without     int // moments at which a hostname that was live was not reached at all
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{alpha: newStand(t)}
	p.beta = standOf(t, p.alpha.api, "beta", tokenOfBeta)
	p.alpha.spec.Ingress.Routes = []route.Route{plain("nas")}
	p.alpha.place("notes", true, guarded("notes"))
	p.alpha.place("wiki", true, plain("wiki"))
	p.alpha.starts("notes-1", "notes/app")
	p.alpha.starts("wiki-1", "wiki/app")
	p.alpha.run()
	p.alpha.after(time.Second)
	p.alpha.api.Seen = func(cloudflaretest.Call) { p.look() }
	return p
}

// end stops both, and before that checks that no request was lost on the way.
func (p *pair) end() {
	if p.without > 0 {
		p.alpha.Errorf("%d times a record led to a tunnel without the rule", p.without)
	}
	for _, s := range []*stand{p.alpha, p.beta} {
		if s.end != nil {
			s.end()
		}
	}
}

// look visits all of them: each request that gets past Access meets a rule.
func (p *pair) look() {
	for _, name := range []string{"notes", "nas", "wiki"} {
		if o := p.alpha.api.Visit(name+".example.com", "/"); !o.Reached() && !o.Denied {
			p.without++
		}
	}
}

func guarded(name string) route.Route {
	r := plain(name)
	r.Access = &route.Access{Groups: []string{"staff"}, Session: "24h", Policies: []route.Policy{{Name: "staff", Decision: route.Allow, Include: []route.Match{{Email: "a@example.com"}}}}}
	return r
}

var mineNow = record.Verdict{State: record.Own, MayStart: true, MayChange: true, Epoch: 2}

// placed has beta be asked to run notes, and to publish nas where own says so; the claim is there.
func (p *pair) placed(own bool) {
	p.alpha.Helper()
	b := p.beta
	r := guarded("notes")
	r.Of, r.Grace = "app", 10*time.Minute
	b.spec.Stacks = append(b.spec.Stacks, agentapi.Stack{Name: "notes", Epoch: 2, Project: project.Project{Routes: []route.Route{r}}})
	b.set("notes", mineNow)
	p.alpha.set("notes", lost)
	if own {
		b.spec.Ingress.Routes, b.spec.Ingress.Former = []route.Route{plain("nas")}, map[string]int{fleet.Own("alpha"): 1}
		p.alpha.set(fleet.Own("alpha"), record.Verdict{State: record.Own, MayChange: true, Epoch: 2})
	}
	b.save()
	if b.end == nil {
		b.run()
	}
}

// started has beta deploy notes, which takes a while.
func (p *pair) started() {
	p.alpha.Helper()
	b := p.beta
	end := b.d.Deploying([]string{"notes"})
	b.after(5 * time.Minute)
	if err := b.SaveLocal("notes", here.Local{Epoch: 2}); err != nil {
		p.alpha.Fatal(err)
	}
	b.starts("notes-1", "notes/app")
	<-b.d.Ask(true)
	end()
}

// leads checks to whose tunnel hostnames lead.
func (p *pair) leads(when string, want map[string]*stand) {
	p.alpha.Helper()
	for _, r := range p.alpha.api.Records("example.com") {
		if to := want[r.Name]; to != nil && r.Content != to.tunnel.is.Target() {
			p.alpha.Errorf("%s: %s leads to %s, want %s's", when, r.Name, r.Content, to.spec.Name)
		}
	}
}

func inPair(t *testing.T, test func(p *pair)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t)
		defer p.end()
		test(p)
	})
}

// TestARecovery: the lost host's hostnames come to the other one, each with its rule first, and
// what is protected stays so. The lost host comes back, and whatever happens to it, it changes
// nothing.
func TestARecovery(t *testing.T) {
	gone := record.Verdict{State: record.Unknown, Reason: "Git does not answer, and no claim says that a stack is this host's"}
	for name, back := range map[string]func(p *pair){
		"it knows": func(*pair) {},
		"no one says": func(p *pair) {
			p.alpha.set("notes", unheard)
			p.alpha.set("wiki", unheard)
			p.alpha.set("host.alpha", gone)
		},
		"wiki is its own":    func(p *pair) { p.alpha.set("host.alpha", mine) }, // Git is away, the claims are not
		"asked for the past": func(p *pair) { p.alpha.save(); p.alpha.d.Deploying([]string{"notes", "wiki"}); <-p.alpha.d.Ask(true) },
	} {
		t.Run(name, func(t *testing.T) {
			inPair(t, func(p *pair) {
				p.alpha.end()
				before := len(p.alpha.wrote(token))
				p.placed(true)
				p.started()
				p.leads("recovered", map[string]*stand{"notes.example.com": p.beta, "nas.example.com": p.beta, "wiki.example.com": p.alpha})
				p.alpha.run()
				back(p)
				p.alpha.after(time.Hour)
				p.alpha.run() // as after a boot
				p.alpha.after(time.Hour)
				if wrote := p.alpha.wrote(token)[before:]; len(wrote) > 0 {
					t.Errorf("the lost host changed %v", wrote)
				}
				p.leads("it is back", map[string]*stand{"notes.example.com": p.beta, "nas.example.com": p.beta, "wiki.example.com": p.alpha})
				wrote := len(p.alpha.wrote(tokenOfBeta))
				p.beta.after(time.Hour)
				if again := p.alpha.wrote(tokenOfBeta)[wrote:]; len(again) > 0 {
					t.Errorf("the new host changed %v again", again)
				}
			})
		})
	}
}

// TestTheLostHostIsAppliedAgain: by then it publishes nothing of its own, takes nothing off, and
// forgets its tunnel.
func TestTheLostHostIsAppliedAgain(t *testing.T) {
	inPair(t, func(p *pair) {
		p.alpha.end()
		before := len(p.alpha.wrote(token))
		p.placed(true)
		p.alpha.set("wiki", lost)
		p.alpha.spec.Ingress, p.alpha.spec.Own, p.alpha.spec.Stacks = nil, nil, nil
		p.alpha.save() // and beta has not published yet
		p.alpha.run()
		p.alpha.after(time.Minute)
		p.started()
		p.leads("recovered", map[string]*stand{"notes.example.com": p.beta, "nas.example.com": p.beta})
		if wrote := p.alpha.wrote(token)[before:]; len(wrote) > 0 || !p.alpha.tunnel.stopped || readPublished(p.alpha.Host) != nil {
			t.Errorf("it changed %v; stopped: %t", wrote, p.alpha.tunnel.stopped)
		}
	})
}

// TestAMove: both hosts run, and the old one goes on with its other stack.
func TestAMove(t *testing.T) {
	inPair(t, func(p *pair) {
		before := len(p.alpha.wrote(token))
		if err := p.alpha.SaveLocal("notes", here.Local{Epoch: 1, Released: 1}); err != nil {
			t.Fatal(err)
		}
		p.alpha.stops("notes-1")
		p.alpha.after(20 * time.Minute) // its data moves
		p.leads("released", map[string]*stand{"notes.example.com": p.alpha})
		p.placed(false)
		p.started()
		p.alpha.spec.Stacks = p.alpha.spec.Stacks[1:]
		p.alpha.save()
		<-p.alpha.d.Ask(true)
		p.alpha.after(time.Hour)
		p.leads("moved", map[string]*stand{"notes.example.com": p.beta, "nas.example.com": p.alpha, "wiki.example.com": p.alpha})
		if wrote := p.alpha.wrote(token)[before:]; len(wrote) > 0 {
			t.Errorf("the former host changed %v", wrote)
		}
	})
}

// TestCloudflareIsAwayWhileAHostIsRecovered: an apply that waits is answered while that lasts, the
// hostnames stay where they led, and come once it is over.
func TestCloudflareIsAwayWhileAHostIsRecovered(t *testing.T) {
	inPair(t, func(p *pair) {
		p.alpha.end()
		p.alpha.api.Weather = func(string, string) cloudflaretest.Fault { return cloudflaretest.Fault{Cut: true} }
		p.placed(true)
		asked := time.Now()
		p.beta.d.Deploying([]string{"notes"})
		if list := <-p.beta.d.Ask(true); list.Why == "" || time.Since(asked) > passWait {
			t.Errorf("after %v: %+v", time.Since(asked), list)
		}
		p.leads("away", map[string]*stand{"notes.example.com": p.alpha, "nas.example.com": p.alpha})
		p.alpha.api.Weather = nil
		p.beta.after(tryMost)
		p.leads("back", map[string]*stand{"notes.example.com": p.beta, "nas.example.com": p.beta})
	})
}

// TestAHostnameThatChangesWithTheMove: the new one comes, and the one before goes. A stack that is
// declared to be stopped takes its hostnames off, also of the host before.
func TestAHostnameThatChangesWithTheMove(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		inPair(t, func(p *pair) {
			p.alpha.end()
			p.alpha.api.Seen = nil
			p.placed(false)
			st := &p.beta.spec.Stacks[0]
			st.Project.Routes[0].Hostname, st.Stopped = "journal.example.com", stopped
			p.beta.save()
			p.started()
			var names []string
			for _, r := range p.alpha.api.Records("example.com") {
				names = append(names, r.Name)
			}
			want := map[bool]int{false: 3, true: 2}[stopped] // nas and wiki are alpha's
			if len(names) != want || p.alpha.api.Visit("notes.example.com", "/").Denied || len(p.alpha.api.Apps()) != want-2 {
				t.Errorf("stopped %t: %v, %d applications", stopped, names, len(p.alpha.api.Apps()))
			}
		})
	}
}

// TestARouteIsGivenToAnotherHostByHand: one takes it off, the other publishes it soon.
func TestARouteIsGivenToAnotherHostByHand(t *testing.T) {
	inPair(t, func(p *pair) {
		p.alpha.api.Seen = nil
		p.beta.spec.Ingress.Routes = []route.Route{plain("nas")}
		p.beta.save()
		p.beta.run()
		p.beta.after(time.Second)
		p.leads("before alpha is asked", map[string]*stand{"nas.example.com": p.alpha})
		p.alpha.spec.Ingress.Routes = nil
		p.alpha.save()
		<-p.alpha.d.Ask(true)
		p.beta.after(lookEvery + lookJitter + time.Second)
		p.leads("afterwards", map[string]*stand{"nas.example.com": p.beta})
		p.beta.live("afterwards", "nas", "wiki")
	})
}

// TestAHostIsRenamed: what it has of its own has another name, and its hostnames stay up.
func TestAHostIsRenamed(t *testing.T) {
	inPair(t, func(p *pair) {
		a := p.alpha
		a.spec.Name, a.spec.Own.Name = "omega", fleet.Own("omega")
		a.spec.Ingress.Former = map[string]int{fleet.Own("alpha"): 1}
		heretest.Seal(t, a.Host, a.spec.Own, "omega", agentapi.SealedFile{IngressToken: []byte(token)})
		a.save()
		<-a.d.Ask(true)
		a.after(time.Minute)
		for _, r := range a.api.Records("example.com") {
			if r.Name == "nas.example.com" && r.Comment != "salvor:home/host.omega/1" {
				t.Errorf("%+v", r)
			}
		}
		if len(a.api.Records("example.com")) != 3 {
			t.Errorf("%+v", a.api.Records("example.com"))
		}
	})
}
