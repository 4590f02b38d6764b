package agent

import (
	"context"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// putBack brings back the snapshot that the operator asked for. The data comes
// down beside while the stack runs on; what it has now is taken first, where that
// can be, and lies beside afterwards in any case. Cut short, the next run ends
// with the same snapshot in place.
func (r *run) putBack(ctx context.Context, st agentapi.Stack, a *access, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	from, err := holding(st.Name, st.Targets, st.Restore.Snapshot, r.lister(ctx, st, a))
	if err != nil {
		return err
	}
	repo, err := r.repository(ctx, a, st.Name, from)
	if err != nil {
		return err
	}
	defer repo.close(ctx) //nolint:errcheck // only read from
	database := &besideDatabase{host: r.Host, stack: st, images: st.Images, sink: r.sink}
	job := r.restoreJob(st, repo, st.Restore.Snapshot, r.protected(st), database)
	job.Wish = st.Restore.ID
	fetched, err := r.download(ctx, st, job)
	if err != nil {
		return hinted(st.Name, err)
	}
	hold.At(ctx, "put-fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.images = d.Images
	if err := r.ready(ctx, st, a); err != nil {
		return err
	}
	if err := r.phase("load data", st.Name, func() error { return r.Snapshots.Load(ctx, fetched) }); err != nil {
		return err
	}
	if err := r.unused(ctx, r.protected(st), st.Name); err != nil {
		return err // before anything is stopped
	}
	r.takePresent(ctx, st)
	end := progress.Scope{Sink: r.sink, Stack: st.Name}.Step("stop", "")
	err = r.halt(ctx, st)
	end(err, "")
	if err != nil {
		return err
	}
	r.takeLast(ctx, st)
	if err := r.place(ctx, st, fetched, r.protected(st)); err != nil {
		return err
	}
	hold.At(ctx, "put-placed")
	receipt.Restored, receipt.Wish = restored(fetched), st.Restore.ID
	r.noteDone(st.Name, st.Restore.ID)
	hold.At(ctx, "put-noted")
	return nil
}

// takePresent takes a snapshot of what is about to be replaced. Whoever restores
// because the data is broken must not be held up by its being broken.
func (r *run) takePresent(ctx context.Context, st agentapi.Stack) {
	seen, err := r.Stacks.Observe(ctx, st.Name)
	if err == nil {
		_, err = r.takeLocked(ctx, r.spec, st, taking{stopped: !seen[0].Running(), sink: r.sink})
	}
	if err != nil {
		r.warn(st.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: r.spec.Name + "/" + st.Name,
			Text: fmt.Sprintf("the data replaced by this restore is not in any snapshot (%v); it is kept next to the volume", err),
			Fix:  "salvor status lists it (volume-kept)",
		})
	}
}

func (r *run) warn(stack string, f finding.Finding) {
	progress.Scope{Sink: r.sink, Stack: stack}.Note(f.Text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.receipt.Findings = append(r.receipt.Findings, f)
}
