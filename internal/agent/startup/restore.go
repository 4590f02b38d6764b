package startup

import (
	"context"
	"maps"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/hold"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// Much data keeps a small host's processors and disk busy: next to two gigabytes
// Docker takes 24 s to install instead of 14, and nothing can start before. On a slow
// line, or with a slow mirror, both are to overlap; hence the limit.
const (
	muchData  = 256 << 20 // bytes
	holdLimit = 15 * time.Second
)

// placeData puts fetched data into the places of volumes that nothing uses.
func (s *Start) placeData(ctx context.Context, fetched *snapshot.Fetched, volumes []snapshot.Volume) error {
	return s.Run.phase("place data", s.Name, func() error {
		if err := s.stopBeforeReplacing(ctx, volumes); err != nil {
			return err
		}
		return s.Host.Snapshots.Place(ctx, fetched)
	})
}

// restoreVolumes has the volumes' data in place: it comes down while Docker is installed
// and images are pulled.
func (s *Start) restoreVolumes(ctx context.Context, decided map[string]snapshot.Decision, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	volumes := s.Hydrated(decided)
	if len(volumes) == 0 {
		return s.deliverSecrets(ctx)
	}
	database := s.isolated()
	var fetched *snapshot.Fetched
	both, within := errgroup.WithContext(ctx)
	both.Go(func() error {
		var err error
		fetched, err = s.FetchNewest(within, volumes, database)
		return err
	})
	both.Go(func() error { return s.createContainers(within, *d) })
	if err := both.Wait(); err != nil {
		return err
	}
	hold.At(ctx, "fetched")
	d.Images = pinned(d.Images, fetched.Meta.Images)
	database.Images = d.Images
	if err := s.placeData(ctx, fetched, volumes); err != nil {
		return err
	}
	receipt.Restored = restored(fetched)
	return nil
}

func (s *Start) restoreJob(repo *here.Repository, id string, volumes []snapshot.Volume, database snapshot.Database) snapshot.RestoreJob {
	return snapshot.RestoreJob{
		Fleet: s.Run.Spec.Fleet, Stack: s.Name, Epoch: s.Epoch, Repository: repo.Repository, Origin: here.Origin(s.Stack.Stack), Snapshot: id, Volumes: volumes, Database: database,
		Room:  s.Run.room,
		Holds: func(ctx context.Context) error { return s.Run.Guard.NotLost(ctx, s.Stack) },
	}
}

// isolated is the stack's database next to it, on the images that the stack is asked
// to run.
func (s *Start) isolated() *keeper.Isolated {
	return &keeper.Isolated{Host: s.Host, Stack: s.Stack.Stack, Images: s.Images, Sink: s.Run.sink}
}

// pinned is what the snapshot ran with, which is what its data fits.
func pinned(lock, then map[string]string) map[string]string {
	images := maps.Clone(lock)
	if images == nil {
		images = map[string]string{}
	}
	maps.Copy(images, then)
	return images
}

func restored(f *snapshot.Fetched) *agentapi.SnapshotInfo {
	info := snapshot.InfoOf(f.Info, f.Meta)
	return &info
}

func (s *Start) download(ctx context.Context, job snapshot.RestoreJob) (*snapshot.Fetched, error) {
	if err := s.Run.Need(ctx, needData); err != nil {
		return nil, err
	}
	if err := s.Run.downloads.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer s.Run.downloads.Release(1)
	engine := s.Host.Snapshots
	engine.Progress = s.Run.sink
	var fetched *snapshot.Fetched
	err := s.Run.phase("restore data", s.Name, func() error {
		var err error
		fetched, err = engine.Fetch(ctx, job)
		return err
	})
	return fetched, err
}

// holdForEngine has much data wait until Docker is there, at most for holdLimit.
func (r *Run) holdForEngine(ctx context.Context, bytes int64) error {
	if bytes < muchData {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, holdLimit)
	defer cancel()
	_ = r.Need(limited, needEngine) // too late is as good
	return ctx.Err()
}
