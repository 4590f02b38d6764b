package docker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// What a container's health checks found.
const (
	Healthy   = "healthy"
	Unhealthy = "unhealthy"
	Starting  = "starting"
)

const defaultRetries = 3 // the engine's

// A Detail is what only an inspection of a container shows.
type Detail struct {
	State    string // as Container.State
	Started  time.Time
	Finished time.Time // when it ended last, zero for one that never did
	Restarts int       // since it was started by hand or by Compose
	Health   string    // what its checks found, also where the engine doubts it; "" without a check
	Said     string    // output of the last health check
	Error    string    // why the engine could not start it
}

// Inspect asks about one container; an error wraps ErrNoSuch when it is gone.
func (e *Engine) Inspect(ctx context.Context, id string) (Detail, error) {
	answer, err := e.get(ctx, "/containers/"+id+"/json")
	if err != nil {
		return Detail{}, err
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

func parseDetail(answer []byte) (Detail, error) {
	var in struct {
		RestartCount int
		State        struct {
			Status                string
			StartedAt, FinishedAt time.Time
			Error                 string
			Health                checks
		}
		Config struct{ Healthcheck struct{ Retries int } }
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return Detail{}, fmt.Errorf("read the Docker engine's container: %w", err)
	}
	d := Detail{State: in.State.Status, Started: in.State.StartedAt, Finished: in.State.FinishedAt, Restarts: in.RestartCount, Error: in.State.Error,
		Health: in.State.Health.found(cmp.Or(in.Config.Healthcheck.Retries, defaultRetries))}
	if log := in.State.Health.Log; len(log) > 0 {
		d.Said = strings.TrimSpace(log[len(log)-1].Output)
	}
	return d, nil
}

// found is what the checks found. The engine calls a container Unhealthy from a
// pause on until its next check, which comes a whole interval after the pause;
// meant is one that failed retries times in a row.
// Source: moby 26.1, container/health.go, CloseMonitorChannel.
func (c checks) found(retries int) string {
	switch {
	case c.Status != Unhealthy || c.FailingStreak >= retries:
		return c.Status
	case len(c.Log) > 0 && c.Log[len(c.Log)-1].ExitCode == 0:
		return Healthy
	}
	return Starting
}

// correctHealth asks the checks about what the engine calls Unhealthy.
func (e *Engine) correctHealth(ctx context.Context, list []Container) error {
	for i, c := range list {
		if c.Health != Unhealthy {
			continue
		}
		about, err := e.Inspect(ctx, c.ID)
		if errors.Is(err, ErrNoSuch) { // removed meanwhile
			continue
		}
		if err != nil {
			return err
		}
		list[i].Health, list[i].HealthUncertain = about.Health, about.Health != Unhealthy
	}
	return nil
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
