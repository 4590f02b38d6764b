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

// putBack brings back the snapshot that the operator asked for. The data is
// downloaded next to the volume while the stack runs; a snapshot of the present data
// is taken first, if possible, and in any case the replaced data is kept next to the
// volume. Interrupted, the next run ends with the same snapshot in place.
func (r *run) putBack(ctx context.Context, s *Stack, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	from, err := holding(s.Name, s.Targets, s.Restore.Snapshot, r.lister(ctx, s))
	if err != nil {
		return err
	}
	repo, err := r.repository(ctx, s, from)
	if err != nil {
		return err
	}
	defer repo.close(ctx) //nolint:errcheck // only read from
	database := &besideDatabase{host: r.base, stack: s.Stack, images: s.Images, sink: r.sink}
	job := r.restoreJob(s, repo, s.Restore.Snapshot, s.protected(), database)
	job.Wish = s.Restore.ID
	fetched, err := r.download(ctx, s, job)
	if err != nil {
		return hinted(s.Name, err)
	}
	hold.At(ctx, "put-fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.images = d.Images
	if err := r.ready(ctx, s); err != nil {
		return err
	}
	if err := r.phase("load data", s.Name, func() error { return r.Snapshots.Load(ctx, fetched) }); err != nil {
		return err
	}
	if err := r.unused(ctx, s.protected(), s.Name); err != nil {
		return err // before anything is stopped
	}
	r.takePresent(ctx, s)
	end := progress.Scope{Sink: r.sink, Stack: s.Name}.Step("stop", "")
	err = r.halt(ctx, s)
	end(err, "")
	if err != nil {
		return err
	}
	r.takeLast(ctx, s)
	if err := r.place(ctx, s, fetched, s.protected()); err != nil {
		return err
	}
	hold.At(ctx, "put-placed")
	receipt.Restored, receipt.Wish = restored(fetched), s.Restore.ID
	r.noteDone(s.Name, s.Restore.ID)
	hold.At(ctx, "put-noted")
	return nil
}

// takePresent takes a snapshot of what is about to be replaced. Anyone who restores
// because the data is broken must not be held up by its being broken.
func (r *run) takePresent(ctx context.Context, s *Stack) {
	seen, err := r.Stacks.Observe(ctx, s.Name)
	if err == nil {
		_, err = r.takeLocked(ctx, s, taking{stopped: !seen[0].Running(), sink: r.sink})
	}
	if err != nil {
		r.warn(s.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: r.spec.Name + "/" + s.Name,
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
