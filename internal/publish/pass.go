package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"salvor/internal/cloudflare"
	"salvor/internal/finding"
	"salvor/internal/route"
)

const (
	abreast      = 8                      // applications that are changed at once
	namesAge     = 10 * time.Minute       // how long a name that is unknown stays so
	zonesAge     = time.Hour              // how long a zone without a hostname is not looked at
	connectorFor = 30 * time.Second       // how long a pass waits for the connector
	connectorAsk = 100 * time.Millisecond // between two questions to it
	maxSteps     = 40                     // of a pass: far more than it needs
)

// A Connector says which version of the tunnel's configuration it has.
type Connector interface {
	Version(ctx context.Context) (int, error)
}

// A Sent keeps the hostnames that this host has sent rules for, on its disk.
type Sent interface {
	Load() ([]string, error)
	Save(hostnames []string) error
}

// A Publisher brings Cloudflare to what a host wants. Its Pass is called by one goroutine
// at a time.
type Publisher struct {
	API       *cloudflare.Client
	Connector Connector
	Sent      Sent

	zones     []cloudflare.Zone
	zonesRead time.Time
	useful    map[string]bool // IDs of the zones that had a record of owners
	owners    map[string]int
	providers []cloudflare.Named
	tokens    []cloudflare.Named
	namesRead time.Time
}

// A Report is what a pass leaves.
type Report struct {
	Live     []string // published as wanted
	Waiting  []string // the connector does not have their rules yet
	Version  int      // of the tunnel's configuration
	Has      int      // the version that the connector has; 0 for none
	Steps    int      // that changed something
	Findings []finding.Finding
	States   map[route.Key]State // of the routes that are wanted; nil where the pass did not come to its end
}

// Pass looks at Cloudflare and does what is missing. After an error nothing was decided on
// what could not be read; the next pass looks again. It may be interrupted at any moment.
func (p *Publisher) Pass(ctx context.Context, d Desired) (Report, error) {
	l := look{p: p, d: d}
	if err := l.all(ctx); err != nil {
		return Report{}, err
	}
	var report Report
	for range maxSteps {
		next := Compare(d, l.a)
		report.Live, report.Waiting, report.Findings = next.Live, next.Waiting, next.Findings
		report.Version, report.Has = l.a.Config.Version, l.a.Live
		behind := next.None() && report.Steps > 0 && report.Has < report.Version
		if (len(next.Waiting) > 0 || next.takesOff() || behind) && !l.waited {
			if err := l.wait(ctx); err != nil {
				return report, err
			}
			continue
		}
		if next.None() {
			report.States = states(d, l.a, next)
			return report, l.remember(next.Own)
		}
		did, err := l.do(ctx, next)
		if err != nil {
			return report, err
		}
		if did {
			report.Steps++
		}
	}
	return report, fmt.Errorf("the difference to Cloudflare does not get smaller")
}

// A look is what one pass knows.
type look struct {
	p      *Publisher
	d      Desired
	a      Actual
	waited bool
	old    struct{ config, records, apps bool } // read before the last change
}

// aged says that something was changed, or time went by, since Cloudflare was read.
func (l *look) aged() { l.old.config, l.old.records, l.old.apps = true, true, true }

// do carries out a step. Before each kind of change what it is about is read again, and if
// that was necessary nothing is changed yet.
func (l *look) do(ctx context.Context, next Difference) (changed bool, err error) {
	switch {
	case len(next.Put) > 0 && l.old.apps:
		return false, l.apps(ctx)
	case len(next.Put) > 0:
		return true, l.put(ctx, next)
	case next.Rules != nil && l.old.config:
		return false, l.config(ctx)
	case next.Rules != nil:
		return true, l.rules(ctx, next)
	case len(next.Records) > 0 && l.old.records:
		return false, l.records(ctx)
	case len(next.Records) > 0:
		return true, l.change(ctx, next.Records)
	case l.old.apps:
		return false, l.apps(ctx)
	}
	return true, l.remove(ctx, next.Remove)
}

// put makes and changes applications, several at once. What Cloudflare answers is what they
// are; where it does not, they are read again.
func (l *look) put(ctx context.Context, next Difference) error {
	defer l.aged()
	if err := l.p.API.CreateTag(ctx, Tag); err != nil {
		for _, app := range next.Put {
			l.a.Tried.Apps[app.Domain] = err
		}
		return ctx.Err()
	}
	now, errs := make([]cloudflare.App, len(next.Put)), make([]error, len(next.Put))
	each(len(next.Put), func(i int) { now[i], errs[i] = l.p.API.PutApp(ctx, next.Put[i]) })
	if err := ctx.Err(); err != nil {
		return err
	}
	again := false
	for i, app := range next.Put {
		l.a.Tried.Apps[app.Domain] = errs[i]
		if errs[i] != nil {
			again = true
			continue
		}
		l.a.Apps = slices.DeleteFunc(l.a.Apps, func(a cloudflare.App) bool { return a.ID == now[i].ID })
		l.a.Apps = append(l.a.Apps, now[i])
	}
	if again {
		l.p.namesRead = time.Time{} // an ID that is gone may be why
		return l.apps(ctx)
	}
	return nil
}

// each calls do for each number below n, some at once.
func each(n int, do func(i int)) {
	var all sync.WaitGroup
	slots := make(chan struct{}, abreast)
	for i := range n {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			do(i)
		})
	}
	all.Wait()
}

// rules replaces the rules. What they are sent for is noted before.
func (l *look) rules(ctx context.Context, next Difference) error {
	defer l.aged()
	sent := slices.Collect(maps.Keys(l.a.Sent))
	if err := l.remember(append(sent, next.Own...)); err != nil {
		return err
	}
	now, err := l.p.API.SetConfiguration(ctx, l.d.Tunnel.ID, l.a.Config.With(next.Rules))
	if errors.Is(err, cloudflare.ErrRefused) {
		l.a.Tried.Rules = err
		return nil
	}
	if err != nil {
		return err
	}
	l.a.Config = now
	l.waited = false
	return nil
}

// remember saves the hostnames with rules, if they are others than before.
func (l *look) remember(hostnames []string) error {
	now := map[string]bool{}
	for _, h := range hostnames {
		now[h] = true
	}
	if maps.Equal(now, l.a.Sent) {
		return nil
	}
	if err := l.p.Sent.Save(slices.Sorted(maps.Keys(now))); err != nil {
		return err
	}
	l.a.Sent = now
	return nil
}

// wait waits until the connector has the configuration, as long as a pass waits.
func (l *look) wait(ctx context.Context) error {
	l.waited = true
	for end := time.Now().Add(connectorFor); ; {
		n, err := l.p.Connector.Version(ctx)
		if err == nil {
			l.a.Live = n
		}
		if l.a.Live >= l.a.Config.Version || !time.Now().Before(end) {
			return ctx.Err()
		}
		l.aged()
		select {
		case <-time.After(connectorAsk):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// change changes records: those of a zone in one call, and where Cloudflare refuses that,
// one by one, so that the others are not kept from it.
func (l *look) change(ctx context.Context, changes []Change) error {
	defer l.aged()
	for zone, all := range byZone(changes) {
		for some := range slices.Chunk(all, perCall(all)) {
			if err := l.some(ctx, zone, some); err != nil {
				return err
			}
		}
	}
	return l.records(ctx)
}

// some does changes together, or else each for itself.
func (l *look) some(ctx context.Context, zone string, changes []Change) error {
	for _, c := range changes {
		l.a.Tried.Records[c.Hostname] = errOther
	}
	l.p.useful[zone] = true // also if the answer does not arrive
	err := l.batch(ctx, zone, changes)
	if err == nil {
		return nil
	}
	if errors.Is(err, cloudflare.ErrAway) || errors.Is(err, cloudflare.ErrToken) || ctx.Err() != nil {
		return err
	}
	for _, one := range changes {
		if err := l.batch(ctx, zone, []Change{one}); err != nil {
			l.a.Tried.Records[one.Hostname] = err
		}
	}
	return nil
}

// errOther is what is wrong where Cloudflare took a change and has something else.
var errOther = errors.New("at Cloudflare it is something else than what was sent")

// perCall is how many of the changes go into one call: one that makes a record again counts
// twice.
func perCall(changes []Change) int {
	if slices.ContainsFunc(changes, Change.again) {
		return cloudflare.MaxBatch / 2
	}
	return cloudflare.MaxBatch
}

func byZone(changes []Change) map[string][]Change {
	zones := map[string][]Change{}
	for _, c := range changes {
		zones[c.Zone] = append(zones[c.Zone], c)
	}
	return zones
}

// batch does the changes in one call. A record whose type changes is made again.
func (l *look) batch(ctx context.Context, zone string, changes []Change) error {
	var b cloudflare.Batch
	for _, c := range changes {
		switch patched := c.Want; {
		case c.Want.Name == "":
			b.Delete = append(b.Delete, c.Is.ID)
		case c.again():
			b.Delete = append(b.Delete, c.Is.ID)
			b.Post = append(b.Post, c.Want)
		case c.Is.ID != "":
			patched.ID = c.Is.ID
			b.Patch = append(b.Patch, patched)
		default:
			b.Post = append(b.Post, c.Want)
		}
	}
	return l.p.API.ChangeRecords(ctx, zone, b)
}

// remove removes applications, several at once.
func (l *look) remove(ctx context.Context, apps []cloudflare.App) error {
	defer l.aged()
	errs := make([]error, len(apps))
	each(len(apps), func(i int) { errs[i] = l.p.API.DeleteApp(ctx, apps[i].ID) })
	for i, app := range apps {
		if errors.Is(errs[i], cloudflare.ErrAway) {
			return errs[i]
		}
		if errs[i] != nil {
			l.a.Tried.Apps[app.Domain] = errs[i]
			continue
		}
		l.a.Apps = slices.DeleteFunc(l.a.Apps, func(a cloudflare.App) bool { return a.ID == app.ID })
	}
	return nil
}

// names reports which kinds of names the routes' access has.
func names(routes []route.Owned) (providers, tokens bool) {
	for _, o := range routes {
		p, t := o.Route.Access.Names()
		providers, tokens = providers || p, tokens || t
	}
	return providers, tokens
}
