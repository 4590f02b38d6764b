package stack

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/docker"
)

// Running returns the ids of a stack's containers that run and are not paused.
func (h *control) Running(ctx context.Context, stack string) ([]string, error) {
	return h.inState(ctx, stack, "running")
}

// Paused returns the ids of a stack's containers that are paused.
func (h *control) Paused(ctx context.Context, stack string) ([]string, error) {
	return h.inState(ctx, stack, "paused")
}

// RunningOf returns the ids of the containers of services that run and are not paused.
func (h *control) RunningOf(ctx context.Context, stack string, services []string) ([]string, error) {
	if len(services) == 0 {
		return nil, nil
	}
	all, err := h.containers(ctx, stack)
	var ids []string
	for _, c := range all {
		if c.State == "running" && slices.Contains(services, c.Service) && !c.OneOff {
			ids = append(ids, c.ID)
		}
	}
	return ids, err
}

// StopSome stops containers, each with its own grace period.
func (h *control) StopSome(ctx context.Context, containers ...string) error {
	if len(containers) == 0 {
		return nil
	}
	return h.docker(ctx, append([]string{"stop"}, containers...)...)
}

// StartSome starts containers that do not run. Those that run, or are gone, are left alone. It tries every one.
func (h *control) StartSome(ctx context.Context, containers ...string) error {
	var errs []error
	for _, id := range containers {
		state, err := h.state(ctx, id)
		if err == nil && (state == "exited" || state == "created") {
			err = h.docker(ctx, "start", id)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Started returns the names of a stack's containers that started since a time, without those of some services.
func (h *control) Started(ctx context.Context, stack string, since time.Time, without []string) ([]string, error) {
	all, err := h.containers(ctx, stack)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, c := range all {
		if slices.Contains(without, c.Service) {
			continue
		}
		about, err := h.engine.Inspect(ctx, c.ID)
		if err != nil && !errors.Is(err, docker.ErrNoSuch) {
			return nil, err
		}
		if err == nil && about.Started.After(since) {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

func (h *control) inState(ctx context.Context, stack, state string) ([]string, error) {
	all, err := h.containers(ctx, stack)
	var ids []string
	for _, c := range all {
		if c.State == state {
			ids = append(ids, c.ID)
		}
	}
	return ids, err
}

// Pause freezes containers one by one. One that does not run, or no longer, is left
// alone: an engine asked for all at once stops at that one and continues with the
// others behind one's back. It ends at the first error.
func (h *control) Pause(ctx context.Context, containers ...string) error {
	for _, id := range containers {
		err := h.engine.Pause(ctx, id)
		if err == nil {
			continue
		}
		state, serr := h.state(ctx, id)
		if serr != nil || state == "running" {
			return errors.Join(fmt.Errorf("pause container %.12s: %w", id, err), serr)
		}
	}
	return nil
}

// Unpause lets containers continue, and returns when it has seen that none of them is
// paused. Those that are not, or are gone, are left alone. It tries every one.
func (h *control) Unpause(ctx context.Context, containers ...string) error {
	var errs []error
	for _, id := range containers {
		errs = append(errs, h.unpause(ctx, id))
	}
	return errors.Join(errs...)
}

// An engine hears of a pause a second time, by an event: when that is late, it calls
// a container paused that continues already, until the next event. So it is asked
// again before it is believed.
const (
	resumePatience = 5 * time.Second
	resumeEvery    = 100 * time.Millisecond
)

func (h *control) unpause(ctx context.Context, id string) error {
	state, err := h.state(ctx, id)
	if err != nil || state != "paused" {
		return err
	}
	limit, cancel := context.WithTimeout(ctx, resumePatience)
	defer cancel()
	for {
		err = h.engine.Unpause(ctx, id)
		state, serr := h.state(ctx, id)
		if serr != nil {
			return errors.Join(err, serr)
		}
		if state != "paused" {
			return nil
		}
		select {
		case <-limit.Done():
			return fmt.Errorf("container %.12s stays paused: %w", id, errors.Join(err, ctx.Err(), errStaysPaused))
		case <-time.After(resumeEvery):
		}
	}
}

var errStaysPaused = errors.New("the engine still reports it as paused")

// unpauseAll resumes a stack's paused containers, by whatever they were paused: containers
// have to run to be changed or stopped.
func (h *control) unpauseAll(ctx context.Context, stack string) error {
	frozen, err := h.Paused(ctx, stack)
	if err != nil {
		return err
	}
	return h.Unpause(ctx, frozen...)
}

// state is how a container is by its own lock, which a pause under way holds; "" for
// one that is gone. The list of containers may lag behind.
func (h *control) state(ctx context.Context, id string) (string, error) {
	about, err := h.engine.Inspect(ctx, id)
	if errors.Is(err, docker.ErrNoSuch) {
		return "", nil
	}
	return about.State, err
}
