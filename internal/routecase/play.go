package routecase

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/route"
)

// A Result is what Salvor makes of a case. The state is that after the last event.
type Result struct {
	Schema int    `json:"schema"`
	ID     string `json:"id"`
	State
	Checkpoints []Checkpoint      `json:"checkpoints,omitempty"` // in the order of the case's
	Findings    []finding.Finding `json:"findings"`
	Notes       []route.Note      `json:"unused_labels,omitempty"` // labels without effect
}

// A Checkpoint is the state at a time that a case asks for.
type Checkpoint struct {
	After    string  `json:"after"`
	At       float64 `json:"at_s"` // of the event that After was taken for
	Expected State   `json:"expected"`
}

// play is a case while it is played.
type play struct {
	Case
	watch    route.Watch
	starts   map[string]int    // by container: how often it began
	running  map[string]string // by container: the labels that it runs with
	declared []route.Owned
	labels   map[string]route.Container // by name of the labels
	wanted   []route.Wanted
	out      Result
}

// Play plays all events. The same case always gives the same result.
func (c Case) Play() Result {
	p := &play{Case: c, starts: map[string]int{}, running: map[string]string{}, labels: map[string]route.Container{}}
	p.out = Result{Schema: fleet.Schema, ID: c.ID, Findings: []finding.Finding{}}
	for _, key := range c.world.unknown {
		p.found(finding.Finding{Code: finding.LabelIgnored, Severity: finding.Info, Subject: "setup." + key, Text: "the key is not known here and has no effect", Fix: "docs/routes.md says what a case may have"})
	}
	moments := make([]moment, 0, len(c.events))
	for _, e := range c.events {
		p.happen(e)
		moments = append(moments, moment{event: e, running: len(p.running), waiting: p.waiting(), state: p.state()})
	}
	if n := len(moments); n > 0 {
		p.out.State = moments[n-1].state
	} else {
		p.out.State = p.state()
	}
	for i, at := range matched(c.checkpoints, moments) {
		p.out.Checkpoints = append(p.out.Checkpoints, Checkpoint{c.checkpoints[i].After, moments[at].event.At, moments[at].state})
	}
	finding.Sort(p.out.Findings)
	return p.out
}

// happen changes what runs, and looks at it. An event that says nothing of what runs is
// time that passes; one of a listing that failed changes nothing.
func (p *play) happen(e event) {
	if failed(e.Event) {
		return
	}
	word, _, _ := strings.Cut(strings.ToLower(e.Event), " ")
	switch name := p.container(e); {
	case name == "" || elsewhere.MatchString(e.Event):
	case slices.Contains([]string{"start", "restart", "unpause", "create", "recreate", "up"}, word):
		p.start(name, e)
	case slices.Contains([]string{"stop", "die", "destroy", "remove", "rm", "down"}, word):
		delete(p.running, name)
	}
	p.wanted = p.watch.Look(time.Unix(0, 0).Add(seconds(e.At)), p.declared, func(o route.Owned) bool {
		name, _, _ := strings.Cut(o.Route.Of, "#")
		return p.running[name] == o.Route.Of
	})
}

// elsewhere matches events at Cloudflare, which the next look repairs.
var elsewhere = regexp.MustCompile(`(?i)ingress|dns|cloudflare|record|\brule\b|\bapp\b|application`)

func failed(event string) bool {
	return failing.MatchString(strings.ToLower(event)) && (strings.Contains(event, "list") || strings.Contains(event, "scan"))
}

func (p *play) container(e event) string {
	if e.Container == nil {
		return ""
	}
	return *e.Container
}

// start has a container run with the labels of the event; else those of its n-th
// declaration where it begins for the n-th time.
func (p *play) start(name string, e event) {
	var all []container
	for _, each := range p.containers {
		if each.Name == name {
			all = append(all, each)
		}
	}
	n := min(p.starts[name], len(all)-1)
	p.starts[name]++
	of := fmt.Sprintf("%s#%d", name, n)
	labels := e.Labels
	if labels != nil {
		of = fmt.Sprintf("%s#event%d", name, p.starts[name])
	} else {
		labels = all[n].Labels
	}
	p.running[name] = of
	if _, known := p.labels[of]; known {
		return
	}
	c := route.Container{Name: of, Labels: labels, Place: func(label string) string { return "container " + name + ": " + label }}
	p.labels[of] = c
	read := p.world.settings.Read(c)
	p.out.Notes = append(p.out.Notes, read.Notes...)
	for _, f := range read.Findings {
		p.found(f)
	}
	for _, r := range read.Routes {
		p.declared = append(p.declared, route.Owned{Owner: p.ID, Route: r})
	}
}

// waiting reports whether a route is within its grace period.
func (p *play) waiting() bool {
	return slices.ContainsFunc(p.wanted, func(w route.Wanted) bool { return !w.Until.IsZero() })
}

func (p *play) found(f finding.Finding) {
	if !slices.Contains(p.out.Findings, f) {
		p.out.Findings = append(p.out.Findings, f)
	}
}

// A State is what is at Cloudflare, and the routes as the controller has them.
type State struct {
	Ingress []route.Rule      `json:"ingress"`
	DNS     []json.RawMessage `json:"dns"`
	Apps    []json.RawMessage `json:"access_apps"`
	Rules   []Rule            `json:"rules"`
}

// A Rule is a route as DockFlare lists it.
type Rule struct {
	Hostname string  `json:"hostname"`
	Path     *string `json:"path"`   // as the label has it
	Status   string  `json:"status"` // active, or pending_deletion within the grace period
}

type record struct {
	Zone    string `json:"zone"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	Proxied bool   `json:"proxied"`
	TTL     int    `json:"ttl"`
}

type app struct {
	Name      string            `json:"name"`
	Domain    string            `json:"domain"`
	Type      string            `json:"type"`
	Session   string            `json:"session_duration"`
	Launcher  bool              `json:"app_launcher_visible"`
	Redirect  bool              `json:"auto_redirect_to_identity"`
	Providers []string          `json:"allowed_idps"`
	Policies  []json.RawMessage `json:"policies"`
}

// tunnel is what records of published hostnames point to.
const tunnel = "{tunnel_id}.cfargotunnel.com"

// state is what the wanted routes make of what was there.
func (p *play) state() State {
	s := State{DNS: []json.RawMessage{}, Apps: []json.RawMessage{}, Rules: []Rule{}}
	var routes []route.Route
	named := map[string]bool{}
	for _, m := range p.world.manual {
		routes = append(routes, route.Route{Hostname: m.Hostname, Path: text(m.Path), Service: m.Service})
		s.Rules = append(s.Rules, Rule{m.Hostname, m.Path, active})
	}
	for _, w := range p.wanted {
		zone, why := "", w.Route.Closed
		if why == "" {
			zone, why = p.refused(w.Route)
			p.closed(w.Route, why)
		}
		if w.Route.Closed == "" && w.Route.Access == nil && why != "" {
			continue // it protects nothing, so what else serves it may
		}
		w.Route.Closed = why
		routes = append(routes, w.Route)
		if why != "" {
			continue
		}
		if !named[w.Route.Hostname] {
			named[w.Route.Hostname] = true
			s.DNS = append(s.DNS, encode(record{zone, w.Route.Hostname, "CNAME", tunnel, true, 1}))
		}
		if a := w.Route.Access; a != nil && !a.OfZone {
			s.Apps = append(s.Apps, encode(application(w.Route)))
		}
		s.Rules = append(s.Rules, p.rule(w))
	}
	var refused []route.Refused
	s.Ingress, refused = route.Rules(routes, p.foreign(named))
	for _, r := range refused {
		p.closed(r.Route, r.Why)
	}
	p.keep(&s, named)
	return s
}

// closed reports a route that is not published; none for "".
func (p *play) closed(r route.Route, why string) {
	if why != "" {
		p.found(finding.Finding{Code: finding.RouteClosed, Severity: finding.Warning, Subject: r.Position, Text: r.Key().String() + " is not published: " + why, Fix: "correct it, or remove the labels"})
	}
}

const active = "active"

func (p *play) rule(w route.Wanted) Rule {
	r := Rule{Hostname: w.Route.Hostname, Status: active}
	if !w.Until.IsZero() {
		r.Status = "pending_deletion"
	}
	if path, is := p.world.settings.Written(p.labels[w.Route.Of], w.Route.Entry, "path"); is && strings.TrimSpace(path) != "" {
		r.Path = &path
	}
	return r
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func application(r route.Route) app {
	a := app{r.App(), r.Domain(), "self_hosted", r.Access.Session, r.Access.Launcher, r.Access.Redirect, r.Access.Providers, []json.RawMessage{}}
	for _, policy := range r.Access.Policies {
		one := policy.Inline
		if one == nil {
			one = encode(struct {
				Name string `json:"reusable_policy"`
			}{policy.Name})
		}
		a.Policies = append(a.Policies, one)
	}
	return a
}

func encode(v any) json.RawMessage {
	content, err := json.Marshal(v)
	if err != nil {
		panic("salvor: internal error: a part of a case does not encode: " + err.Error())
	}
	return content
}
