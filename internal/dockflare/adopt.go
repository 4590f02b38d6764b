package dockflare

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/cloudflare"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/publish"
	"salvor/internal/route"
)

// Options say what is taken over.
type Options struct {
	Host   string // "" for the fleet's only one
	Tunnel string // DockFlare's, by name or ID; "" for the one that its connector on the host serves
	State  State  // of DockFlare's state.json; the zero value for none
}

// An Adoption says what becomes of what DockFlare has published: prepared what will, and
// afterwards what has.
type Adoption struct {
	Host       string
	Tunnel     cloudflare.Tunnel
	Connectors []string // DockFlare's, which run
	Hostnames  []publish.Adoption
	Manual     []Manual
	Notes      []string     // what is to be known besides
	Files      []FileChange // fleet.yaml
}

// Left reports whether something is to be marked or committed.
func (a Adoption) Left() bool {
	return len(a.Files) > 0 || slices.ContainsFunc(a.Hostnames, func(h publish.Adoption) bool { return len(h.Apps) > 0 || h.Record != nil })
}

// Taken returns how many hostnames are Salvor's, or will be.
func (a Adoption) Taken() int {
	n := 0
	for _, h := range a.Hostnames {
		if h.Why == "" {
			n++
		}
	}
	return n
}

// Prepare reads what DockFlare has published through its tunnel, and proposes to take it over:
// fleet.yaml gets the tunnel's ID and the rules that were made by hand, applications become as
// they are declared, and then records get the mark. No hostname stops to answer, and nothing
// that is protected is opened. It may be called again after a run that ended early.
//
// It is refused while DockFlare runs on the host. Where nothing is left to do the proposal has
// no question, and is not to be run.
func Prepare(ctx context.Context, f *Fleet, o Options) (Adoption, proposal.Proposal[Adoption], error) {
	w := &work{Fleet: f}
	p := proposal.New("take DockFlare's routes over", w.run)
	h, err := hostOf(f.Declared, o.Host)
	if err != nil {
		return w.out, p, err
	}
	w.out.Host = h.Name
	if !f.Declared.Ingress.Complete() {
		return w.out, p, fault.WithHint(errors.New("fleet.yaml does not say how Salvor publishes"), "ingress: {provider: cloudflare, account: ID, token: secret:NAME}, then git commit; docs/routes.md")
	}
	found, _, err := f.on(ctx, h)
	if err == nil {
		err = found.still(h.Name)
	}
	if err != nil {
		return w.out, p, err
	}
	w.out.Connectors = found.connectors
	if w.api, err = f.API(ctx); err != nil {
		return w.out, p, err
	}
	if w.out.Tunnel, err = f.tunnel(ctx, w.api, h.Name, found, o); err != nil {
		return w.out, p, err
	}
	if err := w.plan(ctx, o.State); err != nil {
		return w.out, p, err
	}
	if w.out.Left() {
		p.Question = fmt.Sprintf("Take %d of %d hostnames of the tunnel %s over?", w.out.Taken(), len(w.out.Hostnames), w.out.Tunnel.Name)
	}
	return w.out, p, nil
}

// work is one adoption.
type work struct {
	*Fleet
	api  *cloudflare.Client
	more []route.Route // that ingress.routes gets
	out  Adoption
}

func (w *work) plan(ctx context.Context, s State) error {
	actual, err := look(ctx, w.api, w.out.Tunnel)
	if err != nil {
		return err
	}
	w.out.Manual = w.manual(w.out.Host, s, actual)
	if err := w.change(); err != nil {
		return err
	}
	w.out.Hostnames = publish.Adopt(w.desired(w.out.Host, w.out.Tunnel, w.more), actual)
	for _, r := range s.Rules {
		if r.Overruled && slices.ContainsFunc(w.out.Hostnames, func(h publish.Adoption) bool { return h.Hostname == r.Hostname && h.Why == "" }) {
			w.out.Notes = append(w.out.Notes, r.Hostname+r.Path+": who may in was set by hand in DockFlare; from now on its declaration says it")
		}
	}
	return nil
}

// change makes fleet.yaml as it will be.
func (w *work) change() error {
	before, err := w.File(fleet.File)
	if err != nil {
		return err
	}
	after, err := controlrepo.SetTunnel(before, w.out.Host, w.out.Tunnel.ID)
	for _, m := range w.out.Manual {
		if err == nil && m.Why == "" {
			after, err = controlrepo.AddRoute(after, m.Route)
			w.more = append(w.more, w.Declared.Ingress.Settings().Declare([]route.Declared{m.Route.Declared}).Routes...)
		}
	}
	if err == nil && !bytes.Equal(before, after) {
		w.out.Files = []FileChange{{fleet.File, before, after}}
	}
	return err
}

// run commits, and then marks.
func (w *work) run(ctx context.Context, _ progress.Sink) (Adoption, error) {
	files := map[string][]byte{}
	for _, f := range w.out.Files {
		files[f.Path] = f.After
	}
	if err := w.Commit(ctx, files, "route: "+w.out.Host+" takes the tunnel "+w.out.Tunnel.Name+" over"); err != nil {
		return w.out, err
	}
	refused, err := w.protect(ctx)
	if err == nil {
		err = w.mark(ctx, refused)
	}
	if err != nil {
		return w.out, fault.WithHint(err, "salvor route adopt --host "+w.out.Host+" goes on; hostnames answer as before")
	}
	return w.out, nil
}

// protect makes applications as they are wanted. Whose applications Cloudflare refuses is not
// taken over.
func (w *work) protect(ctx context.Context) (refused map[string]string, err error) {
	refused = map[string]string{}
	if !slices.ContainsFunc(w.out.Hostnames, func(h publish.Adoption) bool { return len(h.Apps) > 0 }) {
		return refused, nil
	}
	if err := w.api.CreateTag(ctx, publish.Tag); err != nil {
		return refused, err
	}
	for _, h := range w.out.Hostnames {
		for _, app := range h.Apps {
			_, err := w.api.PutApp(ctx, app)
			if errors.Is(err, cloudflare.ErrAway) || errors.Is(err, cloudflare.ErrToken) || ctx.Err() != nil {
				return refused, err
			}
			if err != nil {
				refused[h.Hostname] = err.Error()
			}
		}
	}
	return refused, nil
}

// mark marks the records of the hostnames whose applications Cloudflare is seen to have.
func (w *work) mark(ctx context.Context, refused map[string]string) error {
	actual, err := look(ctx, w.api, w.out.Tunnel)
	if err != nil {
		return err
	}
	w.out.Hostnames = publish.Adopt(w.desired(w.out.Host, w.out.Tunnel, w.more), actual)
	for i := range w.out.Hostnames {
		h := &w.out.Hostnames[i]
		if len(h.Apps) > 0 {
			h.Why = "its application is not as it is wanted: " + cmp.Or(refused[h.Hostname], "Cloudflare made something else of it")
			continue
		}
		if h.Record == nil {
			continue
		}
		err := w.api.ChangeRecords(ctx, h.Record.Zone, cloudflare.Batch{Patch: []cloudflare.Record{h.Record.Want}})
		if errors.Is(err, cloudflare.ErrAway) || errors.Is(err, cloudflare.ErrToken) || ctx.Err() != nil {
			return err
		}
		if err != nil {
			h.Why = "its record is not marked: " + err.Error()
		}
	}
	return nil
}
