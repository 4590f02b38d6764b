package publishing

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/docker"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/loop"
	"salvor/internal/publish"
	"salvor/internal/record"
	"salvor/internal/route"
)

const (
	lookEvery  = 2 * time.Minute  // that Cloudflare is looked at, also where nothing changes
	lookJitter = 12 * time.Second // so that the hosts of a fleet don't ask all at once
	tryFirst   = 5 * time.Second  // after a pass that failed
	tryMost    = 10 * time.Minute // after many of them
)

// A Guard says whose the stacks are; *ownership.Guard is one.
type Guard interface {
	Verdicts(ctx context.Context, spec agentapi.Host) map[string]record.Verdict
	Verdict(ctx context.Context, s *here.Stack) record.Verdict
	Recent(ctx context.Context, s *here.Stack) record.Verdict
	Own(ctx context.Context, spec agentapi.Host, own agentapi.Stack, fresh bool) record.Verdict
	Changed() <-chan struct{}
}

// A Tunnel leads to this host, and a connector serves it.
type Tunnel interface {
	publish.Connector
	// Start runs the connector of a tunnel that the host has already, and asks Cloudflare
	// nothing.
	Start(ctx context.Context) error
	// Open returns the tunnel, found or made at Cloudflare, and has its connector run.
	Open(ctx context.Context, api *cloudflare.Client, spec agentapi.Host) (cloudflare.Tunnel, error)
	// Doubt says that Cloudflare does not know the tunnel any more.
	Doubt()
	// Moved says that all of the host's hostnames lead to a tunnel.
	Moved(to cloudflare.Tunnel)
	// Stop stops the connector, and forgets the tunnel on this host.
	Stop(ctx context.Context) error
	// Findings are what is wrong with the two, and with the ways to the services of routes.
	Findings(ctx context.Context, routes []route.Owned) ([]finding.Finding, error)
	// Permissions are findings about a token that may not do what routes need.
	Permissions(ctx context.Context, api *cloudflare.Client, routes []route.Owned) ([]finding.Finding, error)
}

// A Daemon has the host's hostnames published while it runs.
type Daemon struct {
	h      *here.Host
	guard  Guard
	tunnel Tunnel
	engine *docker.Engine
	signal *publish.Signal
	announced
	loopState
}

// loopState is what the loop alone knows and changes.
type loopState struct {
	watch    *route.Watch     // nil before it was recalled
	noted    []byte           // of watch
	running  map[service]bool // by the newest complete listing; nil before the first
	follow   context.CancelFunc
	at       *account
	passed   publish.Desired // of the newest pass that left nothing to do
	report   publish.Report  // of the newest pass that came to its end
	result   agentapi.RouteList
	started  bool // the connector that the host had was started
	shown    bool // an apply has shown what goes, and no pass has done it yet
	failures int  // passes in a row
	due      time.Time
	next     time.Time
	changed  <-chan struct{}
}

// New returns what publishes for a host. Nothing is done yet.
func New(h *here.Host, guard Guard, tunnel Tunnel) *Daemon {
	return &Daemon{h: h, guard: guard, tunnel: tunnel, engine: docker.New(h.Machine), signal: publish.NewSignal()}
}

// Loop is the daemon's work: a look at what is wanted whenever that may have changed, and a
// pass where it has, or where the last one is long ago.
func (d *Daemon) Loop() loop.Loop {
	return loop.Loop{Name: "routes", Wait: d.wait, Run: d.Round}
}

// wait returns when it is time to look; false when ctx has ended.
func (d *Daemon) wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
	case <-d.signal.Due():
	case <-d.changed:
	case <-time.After(time.Until(d.next)):
	}
	if ctx.Err() != nil {
		d.engine.Close()
	}
	return ctx.Err() == nil
}

// Round looks once at what is wanted, and has Cloudflare brought to it where that is due. An
// error has changed nothing; applies that wait get what is known.
func (d *Daemon) Round(ctx context.Context) error {
	d.changed, d.next = d.guard.Changed(), time.Now().Add(lookEvery)
	asks := d.take()
	err := d.look(ctx, asks)
	answer := d.result
	if err != nil {
		answer.Why = err.Error()
	}
	for _, a := range asks {
		a.answer <- answer
	}
	return err
}

func (d *Daemon) look(ctx context.Context, asks []ask) error {
	spec, err := d.h.ReadSpec()
	if err != nil {
		return err
	}
	note := readPublished(d.h)
	if spec.Ingress == nil && note == nil {
		d.rest()
		return nil
	}
	if err := d.list(ctx); err != nil {
		return err
	}
	d.start(ctx)
	urgent := d.heard() || len(asks) > 0
	d.recall()
	w := d.want(ctx, spec, note, urgent)
	d.memorize()
	for _, a := range asks {
		d.shown = d.shown || a.shown
	}
	if !d.passDue(w, urgent) {
		d.next = earliest(d.due, w.until)
		return nil
	}
	report, err := d.pass(ctx, spec, &w, note)
	if spec.Ingress == nil && readPublished(d.h) == nil {
		d.rest() // all is taken off
		return err
	}
	d.keep(ctx, spec.Name, w, report, err)
	d.schedule(w, err)
	return err
}

// rest is for a host that publishes nothing, and did not: it begins afresh if it is asked to.
func (d *Daemon) rest() {
	if d.follow != nil {
		d.follow()
	}
	d.loopState = loopState{changed: d.changed, next: d.next}
}

// recall reads since when services are without a container: a daemon that starts again gives
// them no new grace. After a boot it does, since all of them start then.
func (d *Daemon) recall() {
	if d.watch == nil {
		d.watch = &route.Watch{}
		_ = here.ReadJSON(hostpath.PublishingOf(d.h.Paths).Watch, d.watch) // without it all of them have their grace
	}
}

// memorize notes it where it has changed.
func (d *Daemon) memorize() {
	content, err := json.Marshal(d.watch)
	if err == nil && !bytes.Equal(content, d.noted) {
		err = here.WriteJSON(hostpath.PublishingOf(d.h.Paths).Watch, json.RawMessage(content))
		d.noted = content
	}
	if err != nil {
		d.h.Trouble("routes", err)
	}
}

// start has the connector run that the host has, before anything else is known: where that
// fails it is tried again, and the pass goes on.
func (d *Daemon) start(ctx context.Context) {
	if d.started {
		return
	}
	if err := d.tunnel.Start(ctx); err != nil {
		d.h.Trouble("tunnel", err)
		return
	}
	d.started = true
}

// list has the newest complete listing of containers. While the engine is away the one before
// counts: what is not known has not changed.
func (d *Daemon) list(ctx context.Context) error {
	if d.follow == nil {
		watching, end := context.WithCancel(ctx)
		d.follow = end
		go func() { _ = d.engine.Watch(watching, d.signal.Changed) }() // ends with its context alone
	}
	all, err := d.engine.List(ctx)
	if err == nil {
		d.running = services(all)
	}
	if d.running != nil {
		return nil
	}
	return err
}

// passDue reports whether Cloudflare is to be looked at now. What changed while passes fail
// waits for the next try, unless an apply announces something or asks.
func (d *Daemon) passDue(w want, urgent bool) bool {
	if urgent || !time.Now().Before(d.due) {
		return true
	}
	return d.failures == 0 && !sameWish(w.Desired, d.passed)
}

func sameWish(a, b publish.Desired) bool {
	return reflect.DeepEqual(a.Owners, b.Owners) && reflect.DeepEqual(a.Routes, b.Routes)
}

// schedule says when the next pass is due.
func (d *Daemon) schedule(w want, err error) {
	pause := lookEvery + rand.N(lookJitter)
	if err == nil && len(d.report.Waiting) == 0 {
		d.failures, d.shown, d.passed = 0, false, w.Desired
	} else {
		pause = min(tryFirst<<min(d.failures, 10), tryMost)
		d.failures++
	}
	d.due = time.Now().Add(pause)
	d.next = earliest(d.due, w.until)
}

func earliest(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}
