package startup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/delivery"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// onRotateLimit is what a command may take that changes a password somewhere.
const onRotateLimit = 2 * time.Minute

// notifyServices notifies running services of secrets that changed: their command first,
// then each one's own policy. It reports whether any was notified. Services that the
// deploy recreated know already. If it is interrupted, the next run notifies all of
// them again.
func (s *Start) notifyServices(ctx context.Context, pending delivery.Report, result stack.Result) (notified bool, err error) {
	again := map[fleet.OnChange][]string{}
	for _, service := range s.Project.Services {
		if service.Idle || !slices.Contains(pending.Services, service.Name) {
			continue
		}
		if err := s.Run.onRotate(ctx, s.Name, service); err != nil {
			return notified, err
		}
		if !slices.Contains(result.Recreated, service.Name) {
			again[service.OnChange] = append(again[service.OnChange], service.Name)
		}
	}
	for _, policy := range slices.Sorted(maps.Keys(again)) {
		if policy == "" || policy == fleet.ChangeNone {
			continue
		}
		notified = true
		if err := s.Run.notifyBy(ctx, s.Name, policy, again[policy]); err != nil {
			return notified, err
		}
	}
	if len(pending.Services) > 0 {
		entry := journal.Entry{Kind: "told", Stack: s.Name, Commit: s.Run.Spec.Commit, Text: "of changed secrets: " + strings.Join(pending.Services, ", ")}
		s.Host.Enter(entry)
	}
	return notified, delivery.MarkNotified(s.Host.Paths.Secrets(), s.Name)
}

func (r *Run) notifyBy(ctx context.Context, name string, policy fleet.OnChange, services []string) (err error) {
	scope := progress.Scope{Sink: r.sink, Stack: name}
	end := scope.Step("tell "+strings.Join(services, ", "), string(policy))
	defer func() { end(err, string(policy)) }()
	signal, isSignal := policy.Signal()
	if !isSignal {
		return r.Stacks.RestartServices(ctx, name, policy == fleet.ChangeRecreate, services...)
	}
	for _, service := range services {
		if err := r.Stacks.Signal(ctx, name, service, signal); err != nil {
			return err
		}
	}
	return nil
}

// onRotate runs a service's own command in it. Its output may contain anything, even
// the secret: only the exit code is reported.
func (r *Run) onRotate(ctx context.Context, name string, s project.Service) (err error) {
	if len(s.OnRotate) == 0 {
		return nil
	}
	end := progress.Scope{Sink: r.sink, Stack: name}.Step("on_rotate in "+s.Name, "")
	defer func() { end(err, "") }()
	ctx, cancel := context.WithTimeout(ctx, onRotateLimit)
	defer cancel()
	err = r.Stacks.Exec(ctx, name, stack.Session{Service: s.Name, Argv: s.OnRotate, Stdout: io.Discard})
	if exit := (*machine.ExitError)(nil); errors.As(err, &exit) {
		err = fault.WithHint(fmt.Errorf("service %s: its on_rotate command ended with exit code %d", s.Name, exit.Code),
			fmt.Sprintf("salvor exec %s %s -- COMMAND shows its output", name, s.Name))
	}
	return err
}
