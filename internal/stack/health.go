package stack

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/progress"
)

const (
	healthy   = "healthy"
	unhealthy = "unhealthy"
	starting  = "starting"

	defaultRetries = 3 // the engine's
)

// A detail is what only an inspection of a container shows.
type detail struct {
	State    string // as Container.State
	Started  time.Time
	Restarts int
	Health   string // what its checks found, also where the engine doubts it; "" without a check
	Said     string // output of the last health check
	Error    string // why the engine could not start it
}

func (h *Host) inspect(ctx context.Context, id string) (detail, error) {
	answer, err := h.get(ctx, "/containers/"+id+"/json")
	if err != nil {
		return detail{}, err
	}
	return parseDetail(answer)
}

// checks is the part of an inspected container that its health checks left.
type checks struct {
	Status        string
	FailingStreak int
	Log           []struct {
		ExitCode int
		Output   string
	}
}

func parseDetail(answer []byte) (detail, error) {
	var in struct {
		RestartCount int
		State        struct {
			Status    string
			StartedAt time.Time
			Error     string
			Health    checks
		}
		Config struct{ Healthcheck struct{ Retries int } }
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return detail{}, fmt.Errorf("read the Docker engine's container: %w", err)
	}
	d := detail{State: in.State.Status, Started: in.State.StartedAt, Restarts: in.RestartCount, Error: in.State.Error,
		Health: in.State.Health.found(cmp.Or(in.Config.Healthcheck.Retries, defaultRetries))}
	if log := in.State.Health.Log; len(log) > 0 {
		d.Said = strings.TrimSpace(log[len(log)-1].Output)
	}
	return d, nil
}

// found is what the checks found. The engine calls a container unhealthy from a
// pause on until its next check, which comes a whole interval after the pause;
// meant is one that failed retries times in a row.
// Source: moby 26.1, container/health.go, CloseMonitorChannel.
func (c checks) found(retries int) string {
	switch {
	case c.Status != unhealthy || c.FailingStreak >= retries:
		return c.Status
	case len(c.Log) > 0 && c.Log[len(c.Log)-1].ExitCode == 0:
		return healthy
	}
	return starting
}

// correctHealth asks the checks about what the engine calls unhealthy.
func (h *Host) correctHealth(ctx context.Context, list []Container) error {
	for i, c := range list {
		if c.Health != unhealthy {
			continue
		}
		about, err := h.inspect(ctx, c.ID)
		if errors.Is(err, errNoSuch) { // removed meanwhile
			continue
		}
		if err != nil {
			return err
		}
		list[i].Health, list[i].Doubted = about.Health, about.Health != unhealthy
	}
	return nil
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
		service := doubted(list)
		if service != "" && !noted {
			noted = true
			scope.Note("service " + service + " was paused and others need it: waiting for its next health check")
		}
		return service, nil
	})
	return err
}

// doubted returns a service that the engine doubts and that another one needs.
func doubted(list []Container) string {
	for _, c := range list {
		needs := func(other Container) bool { return slices.Contains(other.Awaits, c.Service) }
		if c.Doubted && slices.ContainsFunc(list, needs) {
			return c.Service
		}
	}
	return ""
}

// parseAwaits reads Compose's label of what a service depends on, for those that
// must be healthy: "db:service_healthy:false,cache:service_started:true".
func parseAwaits(label string) []string {
	var out []string
	for entry := range strings.SplitSeq(label, ",") {
		if service, how, ok := strings.Cut(entry, ":"); ok && strings.HasPrefix(how, "service_healthy") {
			out = append(out, service)
		}
	}
	return out
}
