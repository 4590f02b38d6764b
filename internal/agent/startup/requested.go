package startup

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// RestoreRequested brings back the snapshot that the operator asked for. The data is
// downloaded next to the volume while the stack runs; a snapshot of the present data is
// taken first, if possible, and in any case the replaced data is kept next to the
// volume. Interrupted, the next run ends with the same snapshot in place. Where only some
// volumes go back, the others and the images stay as they are.
func RestoreRequested(ctx context.Context, s *Start, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes, err := wished(s)
	if err != nil {
		return err
	}
	from, err := keeper.Holding(s.Name, s.Targets, s.Restore.Snapshot, keeper.ArchiveOf(s.Stack).Lister(ctx))
	if err != nil {
		return err
	}
	repo, err := keeper.ArchiveOf(s.Stack).Repository(ctx, from)
	if err != nil {
		return err
	}
	defer repo.Close(ctx) // only read from
	database := s.isolated()
	job := s.restoreJob(repo, s.Restore.Snapshot, volumes, database)
	job.Wish = s.Restore.ID
	fetched, err := s.download(ctx, job)
	if err != nil {
		return hinted(s.Name, err)
	}
	hold.At(ctx, "put-fetched")
	if s.Restore.Whole() { // else what runs has to go with what stays
		d.Images = pinned(d.Images, fetched.Meta.Images)
		database.Images = d.Images
	}
	if err := s.deliverSecrets(ctx); err != nil {
		return err
	}
	if err := s.Run.phase("load data", s.Name, func() error { return s.Host.Snapshots.Load(ctx, fetched) }); err != nil {
		return err
	}
	if err := s.Run.checkUnused(ctx, volumes, s.Name); err != nil {
		return err // before anything is stopped
	}
	snapshotPresent(ctx, s)
	end := progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Step("stop", "")
	err = s.stopContainers(ctx)
	end(err, "")
	if err != nil {
		return err
	}
	snapshotStopped(ctx, s)
	if err := s.placeData(ctx, fetched, volumes); err != nil {
		return err
	}
	hold.At(ctx, "put-placed")
	receipt.Restored, receipt.Wish = restored(fetched), s.Restore.ID
	s.Host.NoteDone(s.Name, s.Restore.ID)
	hold.At(ctx, "put-noted")
	if s.Restore.Whole() {
		return nil
	}
	return s.PrepareVolumes(ctx, d, receipt) // of the others
}

// wished are the volumes that go back. One that the stack no longer protects can't.
func wished(s *Start) ([]snapshot.Volume, error) {
	volumes := s.Wished()
	for _, name := range s.Restore.Volumes {
		if !slices.ContainsFunc(volumes, func(v snapshot.Volume) bool { return v.Name == name }) {
			return nil, fault.WithHint(fmt.Errorf("stack %s protects no volume %s", s.Name, project.AsWritten(name)), "salvor restore "+s.Name+" --withdraw")
		}
	}
	return volumes, nil
}

// snapshotPresent takes a snapshot of what is about to be replaced. Anyone who
// restores because the data is broken must not be held up by its being broken.
func snapshotPresent(ctx context.Context, s *Start) {
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if err == nil {
		_, err = s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Stopped: !seen[0].Running(), Sink: s.Run.sink})
	}
	if err != nil {
		s.Run.Warn(s.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: s.Run.Spec.Name + "/" + s.Name,
			Text: fmt.Sprintf("the data replaced by this restore is not in any snapshot (%v); it is kept next to the volume", err),
			Fix:  "salvor status lists it (volume-kept)",
		})
	}
}

// Warn adds a finding to the receipt, and notes its text.
func (r *Run) Warn(stack string, f finding.Finding) {
	progress.Scope{Sink: r.sink, Stack: stack}.Note(f.Text)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Receipt.Findings = append(r.Receipt.Findings, f)
}

// snapshotStopped takes a last snapshot of a stack that was stopped for its data to be
// replaced. It is small, since one was taken while the stack ran, and holds what
// was written since, so that what is moved aside need not stay. A database would
// have to be copied whole, so its files stay instead.
func snapshotStopped(ctx context.Context, s *Start) {
	for _, v := range s.Protected() {
		if v.Method.Native() {
			return
		}
	}
	if _, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Stopped: true, Sink: s.Run.sink}); err != nil {
		progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Note("the replaced data stays next to the volume: " + err.Error())
	}
}
