package publishing

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"salvor/internal/agentapi"
	"salvor/internal/cloudflare"
	"salvor/internal/hostpath"
	"salvor/internal/publish"
)

// pass brings Cloudflare to what is wanted. Without an owner nothing there is this host's to
// change, so nothing is asked either.
func (d *Daemon) pass(ctx context.Context, spec agentapi.Host, w *want, note *published) (publish.Report, error) {
	leaving := spec.Ingress == nil
	if len(w.Owners) == 0 {
		return publish.Report{}, d.end(ctx, *w, leaving)
	}
	at, is, err := d.open(spec, note)
	if err != nil {
		return publish.Report{}, err
	}
	ctx, end := at.gate.open(ctx, func(ctx context.Context) error { return d.stillOurs(ctx, spec, w.Owners) })
	defer end()
	if w.Tunnel = is.Tunnel; !leaving {
		if w.Tunnel, err = d.tunnel.Open(ctx, at.api, spec); err != nil {
			return publish.Report{}, because(ctx, err)
		}
	}
	is.Tunnel = w.Tunnel
	if err := d.remember(is, *w, note); err != nil {
		return publish.Report{}, err
	}
	at.publisher.Sent = sent{hostpath.PublishingOf(d.h.Paths).Sent, w.Tunnel.ID}
	w.Shown = d.shown || leaving
	report, err := at.publisher.Pass(ctx, w.Desired)
	if errors.Is(err, cloudflare.ErrGone) {
		d.tunnel.Doubt()
	}
	if err != nil {
		return report, because(ctx, err)
	}
	if len(report.Waiting) > 0 {
		return report, nil
	}
	d.tunnel.Moved(w.Tunnel)
	return report, d.end(ctx, *w, leaving)
}

// because returns why a pass was ended, where it was, in place of what that led to.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errNoRight) {
		return cause
	}
	return err
}

// end notes that a pass left nothing to do. A host that is not asked to publish, and has
// nothing of its own at Cloudflare any more, stops its connector and forgets all of it.
func (d *Daemon) end(ctx context.Context, w want, leaving bool) error {
	none, err := d.forget(w)
	if err != nil || !leaving || !none {
		return err
	}
	if err := d.tunnel.Stop(ctx); err != nil {
		return err
	}
	its := hostpath.PublishingOf(d.h.Paths)
	for _, path := range []string{its.Sent, its.Seen, its.Watch, its.Note} {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
