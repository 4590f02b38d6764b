package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// BringBack restores a snapshot of the host's own data into a folder of its own. Nothing that
// is there is replaced: such folders hold keys and programs that the running host uses.
func BringBack(h *Host) func(context.Context, agentapi.BringBack, progress.Sink) (agentapi.BroughtBack, error) {
	return func(ctx context.Context, req agentapi.BringBack, sink progress.Sink) (agentapi.BroughtBack, error) {
		done := agentapi.BroughtBack{Schema: agentapi.Schema}
		spec, err := h.Spec()
		if err != nil {
			return done, err
		}
		k := h.keeper()
		defer k.Close(ctx)
		s, err := k.Placed(fleet.Own(spec.Name))
		if err != nil {
			return done, err
		}
		lock, err := k.LockStack(ctx, s.Name, here.Daemon, "bring back "+s.Name)
		if err != nil {
			return done, err
		}
		defer lock.Release()
		if s, err = s.Open(); err != nil {
			return done, err
		}
		return bringBack(ctx, k, s, req.Snapshot, sink)
	}
}

func bringBack(ctx context.Context, k *keeper.Keeper, s *here.Stack, id string, sink progress.Sink) (agentapi.BroughtBack, error) {
	done := agentapi.BroughtBack{Schema: agentapi.Schema}
	var errs []error
	for _, t := range s.Targets {
		for _, one := range t.Line() {
			fetched, folder, err := fetchOwn(ctx, k, s, one, id, sink)
			if err == nil {
				done.Snapshot, done.Folder = fetched.Info.ID, folder
				return done, nil
			}
			errs = append(errs, fmt.Errorf("target %s, repository %s: %w", one.Name, one.Repository, err))
		}
	}
	if len(errs) == 0 {
		return done, fault.WithHint(errors.New("snapshots keep nothing of this host"), "declare hosts."+s.Spec.Name+".protect in fleet.yaml")
	}
	return done, errors.Join(errs...)
}

func fetchOwn(ctx context.Context, k *keeper.Keeper, s *here.Stack, t agentapi.Target, id string, sink progress.Sink) (*snapshot.Fetched, string, error) {
	repo, err := keeper.ArchiveOf(s).Repository(ctx, t)
	if err != nil {
		return nil, "", err
	}
	defer repo.Close(ctx) // nothing was written
	folder := filepath.Join(k.Paths.State, hostpath.BroughtBack, t.Repository)
	job := snapshot.RestoreJob{Fleet: s.Spec.Fleet, Stack: s.Name, Epoch: s.Epoch, Repository: repo.Repository, Snapshot: id, Volumes: s.Protected()}
	for i := range job.Volumes {
		job.Volumes[i].Path = filepath.Join(folder, job.Volumes[i].Path)
	}
	engine := k.Snapshots
	engine.Progress = sink
	fetched, err := engine.Fetch(ctx, job)
	if err != nil {
		return nil, "", err
	}
	return fetched, folder, engine.Place(ctx, fetched)
}
