package scenarios

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/lab"
	"salvor/internal/lab/edge"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// A published fleet has hostnames that lead through Cloudflare's edge to containers.
type published struct {
	*scenario.Scenario
	cloud     *lab.Cloudflare
	w         *world.World
	images    world.Images
	collector oracle.Collector

	alpha, beta *lab.Host
	google      string      // ID of the identity provider
	member      http.Header // of a visitor who may reach what is protected
	sites       []site      // on alpha
	tunnel      string      // alpha's
}

// A site is one container with a hostname.
type site struct {
	stack, service string
	guarded        bool
}

func (s site) hostname() string { return s.service + ".example.com" }
func (s site) url() string      { return "https://" + s.hostname() + "/health" }

const (
	apiToken  = "the-token-of-the-account"
	notesPort = 8081
)

// TestRoutes has three stacks with public hostnames: how soon they answer, that what is
// protected stays so whatever fails, and that hostnames follow a stack to another host.
func TestRoutes(t *testing.T) {
	p := goPublic(t, scenario.Begin(t, 15*time.Second))
	p.allAtOnce(t)
	p.oneByOne(t)
	p.chaos(t)
	p.adoptDockFlare(t)
	p.hostLost(t)
	p.oldHostReturns(t)
	for hostname, c := range p.cloud.Edge.Counts() {
		if strings.HasPrefix(hostname, "notes.") {
			t.Logf("%s: %+v", hostname, c)
		}
	}
	p.Count("API calls", len(p.cloud.Calls()))
	t.Log("proved: hostnames answer as soon as their containers, follow their stack, and never open")
}

// goPublic starts two hosts and an account that has things of others in it.
func goPublic(t *testing.T, s *scenario.Scenario) *published {
	t.Helper()
	ctx := t.Context()
	p := &published{Scenario: s}
	var err error
	p.cloud, err = lab.StartCloudflare(ctx, s.Lab)
	must(t, err)
	p.cloud.AddToken(apiToken, cloudflaretest.All)
	p.cloud.AddZone("example.com")
	p.google = p.cloud.AddNamed("identity_providers", "google")
	p.member = p.cloud.Edge.LogIn("ann@example.org", p.google)
	p.foreign(t)
	p.w, err = world.New(ctx, s.Lab, world.Options{Log: testLog{t}, Environ: p.cloud.Environ()})
	must(t, err)
	must(t, p.cloud.StockConnector(ctx, p.w.Registry))
	p.images, err = p.w.Images(ctx)
	must(t, err)
	hosts := spares(t, p.w, "alpha", "beta")
	p.alpha, p.beta = hosts[0], hosts[1]
	_, err = p.w.Salvor(ctx, strings.NewReader(apiToken), "secret", "set", "cloudflare")
	must(t, err)
	fleet, err := p.w.Read("fleet.yaml")
	must(t, err)
	must(t, p.w.Write("fleet.yaml", fleet+fmt.Sprintf(`networks: {cloudflare-net: {}}
ingress:
  provider: cloudflare
  account: %s
  token: secret:cloudflare
  access:
    family: {domains: [example.org], providers: [google]}
`, cloudflaretest.Account)))
	return p
}

// declare writes the stacks: notes keep data, the others are pages, by labels and without.
func (p *published) declare(t *testing.T, pages, tools int) {
	t.Helper()
	url := listen(t, p.Lab, &p.collector)
	notes := world.Stack{Name: "notes", Store: "sqlite", Host: "alpha", Port: notesPort, Every: "50ms", Size: 100}.Compose(p.images, url)
	notes = strings.Replace(notes, "x-salvor:\n", "x-salvor:\n  routes: [{service: app, port: 8080, hostname: notes.example.com, access: family}]\n", 1)
	must(t, p.w.Write("stacks/notes/compose.yaml", notes))
	p.sites = []site{{"notes", "notes", true}}
	for i := range pages {
		p.sites = append(p.sites, site{"pages", fmt.Sprintf("page%d", i), i == 0})
	}
	for i := range tools {
		p.sites = append(p.sites, site{"tools", fmt.Sprintf("tool%d", i), false})
	}
	p.write(t)
}

// write writes the stacks that have pages alone.
func (p *published) write(t *testing.T) {
	t.Helper()
	for _, stack := range []string{"pages", "tools"} {
		var routes, services strings.Builder
		for _, s := range p.sites {
			if s.stack != stack {
				continue
			}
			fmt.Fprintf(&services, "  %s:\n    image: %s\n    restart: unless-stopped\n    volumes: [\"./html:/usr/share/nginx/html:ro\"]\n", s.service, p.images.Nginx)
			if stack == "tools" {
				fmt.Fprintf(&routes, "    - {service: %s, port: 80, hostname: %s}\n", s.service, s.hostname())
				continue
			}
			fmt.Fprintf(&services, "    networks: [cloudflare-net]\n    labels:\n      dockflare.enable: \"true\"\n      dockflare.hostname: %s\n      dockflare.service: http://%s:80\n", s.hostname(), s.service)
			if s.guarded {
				services.WriteString("      dockflare.access.group: family\n")
			}
		}
		compose := "x-salvor:\n  host: alpha\n"
		if routes.Len() > 0 {
			compose += "  routes:\n" + routes.String()
		}
		compose += "services:\n" + services.String()
		if stack == "pages" {
			compose += "networks:\n  cloudflare-net: {external: true}\n"
		}
		must(t, p.w.Write("stacks/"+stack+"/compose.yaml", compose))
		must(t, p.w.Write("stacks/"+stack+"/html/health", stack+"\n"))
	}
}

// watch asks for a site's hostname all the time, as someone who may reach it.
func (p *published) watch(t *testing.T, s site) *edge.Watch {
	return edge.Probe{Client: p.cloud.Visitor, URL: s.url(), Header: p.member, Every: p.pause()}.Start(t.Context())
}

// pause is how often probes ask: fifty of them are half the machine otherwise.
func (p *published) pause() time.Duration {
	if p.Full {
		return 100 * time.Millisecond
	}
	return 25 * time.Millisecond
}

// applied commits and applies, and returns how long it took from each container's start to its
// hostname's first answer.
func (p *published) applied(t *testing.T, message string, sites []site) []time.Duration {
	t.Helper()
	ctx := t.Context()
	must(t, p.w.Commit(ctx, message))
	watches := make([]*edge.Watch, len(sites))
	began := make([]time.Time, len(sites))
	for i, s := range sites {
		began[i], watches[i] = time.Now(), p.watch(t, s)
	}
	_, err := p.w.Salvor(ctx, nil, "apply", "--grant", "ingress/cloudflare")
	must(t, err)
	took := make([]time.Duration, len(sites))
	for i, s := range sites {
		within(t, 100*time.Second, s.hostname()+" answers", func() error {
			select {
			case <-watches[i].Succeeded():
				return nil
			default:
				return fmt.Errorf("%s", watches[i].SoFar().LastFailure)
			}
		})
		first := began[i].Add(watches[i].Stop().First)
		took[i] = max(0, first.Sub(started(t, p.alpha, s)))
	}
	return took
}

// started returns when a site's container was started.
func started(t *testing.T, h *lab.Host, s site) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, exec(t, h, "docker inspect -f '{{.State.StartedAt}}' "+s.container()))
	must(t, err)
	return at
}

func (s site) container() string {
	if s.stack == s.service {
		return s.stack + "-app-1"
	}
	return s.stack + "-" + s.service + "-1"
}

// allAtOnce deploys all stacks in one apply.
func (p *published) allAtOnce(t *testing.T) {
	t.Helper()
	pages, tools := 5, 4
	if p.Full {
		pages, tools = 25, 24
	}
	p.declare(t, pages, tools)
	calls := len(p.cloud.Calls())
	took := p.applied(t, "three stacks with public hostnames", p.sites)
	p.judge(t, fmt.Sprintf("all %d", len(took)), took, p.limit(6*time.Second))
	t.Logf("all %d: %d API calls, %d of them writing", len(took), len(p.cloud.Calls())-calls, p.writes(calls, ""))
	p.Count("hostnames", len(took))
}

// oneByOne deploys one container more, several times.
func (p *published) oneByOne(t *testing.T) {
	t.Helper()
	times := 2
	if p.Full {
		times = 10
	}
	calls := len(p.cloud.Calls())
	var took []time.Duration
	for i := range times {
		s := site{"tools", fmt.Sprintf("more%d", i), false}
		p.sites = append(p.sites, s)
		p.write(t)
		took = append(took, p.applied(t, "one more", []site{s})...)
	}
	p.judge(t, "one", took, p.limit(2*time.Second))
	t.Logf("one: %.1f API calls each", float64(len(p.cloud.Calls())-calls)/float64(times))
}

// limit is what the full form allows, which has the machine to itself. Beside other labs all that
// can be asked is that hosts heard of the containers: they look without being told after two minutes.
func (p *published) limit(full time.Duration) time.Duration {
	if p.Full {
		return full
	}
	return 45 * time.Second
}

// judge prints the quantiles, and holds p95 to a limit.
func (p *published) judge(t *testing.T, what string, took []time.Duration, limit time.Duration) {
	t.Helper()
	slices.Sort(took)
	half, most := took[len(took)/2], took[(len(took)*95+99)/100-1]
	t.Logf("%s: from a container's start to its first answer through the edge: p50 %s, p95 %s", what, half.Round(time.Millisecond), most.Round(time.Millisecond))
	if most > limit {
		t.Errorf("%s: p95 is %s, more than %s", what, most, limit)
	}
}

// writes counts the calls after the first ones that change something, of a host or of all.
func (p *published) writes(after int, from string) (n int) {
	for _, c := range p.cloud.Calls()[after:] {
		if c.Writes() && (from == "" || c.From == from) {
			n++
		}
	}
	return n
}
