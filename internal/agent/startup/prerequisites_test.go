package startup

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

func TestANeedWaitsUntilItIsMet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Prerequisites
		began := time.Now()
		for after, name := range map[time.Duration]string{time.Second: "data", 3 * time.Second: "engine"} {
			time.AfterFunc(after, func() { p.Meet(name, nil) })
		}
		for range 2 {
			if err := p.Need(t.Context(), "data", "engine"); err != nil || time.Since(began) != 3*time.Second {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		}
	})
}

func TestANeedFailsWithWhatItWaitsFor(t *testing.T) {
	var p Prerequisites
	if err := p.Failure("engine"); err != nil {
		t.Errorf("before anything is known: %v", err)
	}
	broken := errors.New("no disk")
	p.Meet("engine", broken)
	p.Meet("engine", nil) // it failed permanently
	p.Meet("data", nil)
	if err := p.Need(t.Context(), "data", "engine"); !errors.Is(err, broken) || !errors.Is(p.Failure("engine"), broken) || p.Failure("data") != nil {
		t.Errorf("%v", err)
	}
}

func TestANeedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Prerequisites
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		if err := p.Need(ctx, "engine"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

func TestManyWaitForOne(t *testing.T) {
	var p Prerequisites
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			if err := p.Need(t.Context(), "engine"); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() { p.Meet("engine", nil) })
	}
	all.Wait()
}

// TestWhatSnapshotsNeedIsInstalled: a host copies databases of SQLite if a volume says so that
// snapshots keep.
func TestWhatSnapshotsNeedIsInstalled(t *testing.T) {
	t.Parallel()
	for want, v := range map[bool]project.Volume{
		true:  {Protect: fleet.Snapshot, Method: fleet.SQLite},
		false: {Protect: fleet.None, Method: fleet.SQLite},
	} {
		spec := agentapi.Host{Stacks: []agentapi.Stack{{Volumes: []project.Volume{{Protect: fleet.Snapshot, Method: fleet.Pause}}}, {Volumes: []project.Volume{v}}}}
		if got := PreparationOf(spec).SQLite; got != want {
			t.Errorf("%+v: %v", v, got)
		}
	}
}
