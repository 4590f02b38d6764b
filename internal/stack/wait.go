package stack

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"salvor/internal/docker"
	"salvor/internal/progress"
)

const (
	pollEvery   = 300 * time.Millisecond
	maxRestarts = 8 // about 25 s of the engine's doubling delay: time for a database to come up
)

// problemOf says what is wrong with a container that ought to run, or "".
func problemOf(c docker.Container) string {
	switch {
	case c.OneOff:
		return ""
	case c.Health == docker.Unhealthy:
		return "is unhealthy"
	case c.State == "exited" && c.Exit != 0, c.State == "dead":
		return fmt.Sprintf("exited with code %d", c.Exit)
	case c.State == "restarting":
		return "keeps restarting"
	case c.State == "created":
		return "was never started"
	}
	return ""
}

// waitHealthy waits until every container is healthy, or, where there is no
// check, has run for a while without a restart, or has ended with 0.
//
//	starting ──healthy──▶ good        running ──settled──▶ good
//	   └──unhealthy──▶ failed            ├──exit 0──▶ good
//	                                     └──exit ≠ 0, ever again──▶ failed
func (h *Host) waitHealthy(ctx context.Context, d Deployment) error {
	settle := cmp.Or(d.Settle, 3*time.Second)
	waiting, err := poll(ctx, d.patience(), func() (string, error) { return h.checkHealth(ctx, d, settle) })
	if err != nil || waiting == "" {
		return err
	}
	return h.withLogs(ctx, &FailedError{Stack: d.Stack, Service: waiting, Reason: fmt.Sprintf("not healthy after %s", d.patience())})
}

func (d Deployment) patience() time.Duration { return cmp.Or(d.Patience, 10*time.Minute) }

// poll asks for the service that needs time until there is none, and returns the
// last one when patience runs out.
func poll(ctx context.Context, patience time.Duration, ask func() (string, error)) (string, error) {
	limit := time.After(patience)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		waiting, err := ask()
		if err != nil || waiting == "" {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-limit:
			return waiting, nil
		case <-tick.C:
		}
	}
}

// checkHealth returns the service that still needs time, or "" when all is well.
func (h *Host) checkHealth(ctx context.Context, d Deployment, settle time.Duration) (string, error) {
	containers, err := h.containers(ctx, d.Stack)
	if err != nil {
		return "", err
	}
	waiting := ""
	for _, c := range containers {
		if c.OneOff || slices.Contains(d.ByHand, c.Service) || c.Health == docker.Healthy || c.State == "exited" && c.Exit == 0 {
			continue
		}
		about, err := h.engine.Inspect(ctx, c.ID)
		if err != nil {
			return "", err
		}
		ran := time.Since(about.Started)
		switch why := problemOf(c); {
		case why != "" && (c.State != "restarting" || about.Restarts >= maxRestarts):
			return "", h.withLogs(ctx, &FailedError{Stack: d.Stack, Service: c.Service, Reason: cmp.Or(about.Error, why) + checkOutput(about.Said)})
		case c.State == "running" && c.Health == "" && ran >= settle:
		default:
			waiting = c.Service
		}
	}
	return waiting, nil
}

func checkOutput(check string) string {
	if check == "" {
		return ""
	}
	return fmt.Sprintf(": %.200q", check)
}

// awaitChecks waits until the engine doubts no container of the stack that
// another one needs to be healthy: Compose would start nothing after it. When
// patience runs out, Compose may say so.
func (h *Host) awaitChecks(ctx context.Context, d Deployment, scope progress.Scope) error {
	noted := false
	_, err := poll(ctx, d.patience(), func() (string, error) {
		list, err := h.containers(ctx, d.Stack)
		if err != nil {
			return "", err
		}
		service := uncertain(list)
		if service != "" && !noted {
			noted = true
			scope.Note("service " + service + " was paused and others need it: waiting for its next health check")
		}
		return service, nil
	})
	return err
}

// uncertain returns a service that the engine doubts and that another one needs.
func uncertain(list []docker.Container) string {
	for _, c := range list {
		needs := func(other docker.Container) bool { return slices.Contains(other.Awaits, c.Service) }
		if c.HealthUncertain && slices.ContainsFunc(list, needs) {
			return c.Service
		}
	}
	return ""
}
