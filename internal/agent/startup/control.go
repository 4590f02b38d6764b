package startup

import (
	"context"
	"fmt"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/stack"
)

// Control restarts, starts or stops services of a stack that is deployed here, by hand
// and under its lock: a snapshot or a run under way is waited for. Nothing starts that
// this host may not run.
func Control(ctx context.Context, s *Start, req agentapi.Control) error {
	lock, err := lockByHand(ctx, s, req)
	if err != nil {
		return err
	}
	defer lock.Release()
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if err != nil {
		return err
	}
	if !seen[0].Deployed {
		return fault.WithHint(fmt.Errorf("stack %s was not deployed here yet", s.Name), "salvor apply")
	}
	if req.Service != "" {
		if err := seen[0].HasService(req.Service); err != nil {
			return err
		}
	}
	if req.Action == agentapi.ActionStop {
		return stopByHand(ctx, s, req.Service)
	}
	if err := mayStartByHand(ctx, s); err != nil {
		return err
	}
	return s.Host.During(ctx, s.Name, string(req.Action), func() error { return startByHand(ctx, s, req) })
}

// lockByHand takes the stack's lock, and says whom it waits for.
func lockByHand(ctx context.Context, s *Start, req agentapi.Control) (*runlock.Lock, error) {
	end := func(error, string) {}
	if holder, held := runlock.Held(s.Host.Paths.Run, here.StackLock(s.Name)); held {
		waits := &runlock.HeldError{Name: s.Name, Holder: holder}
		end = progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Step("wait for another run", waits.Error())
	}
	lock, err := s.Host.LockStack(ctx, s.Name, req.Owner, string(req.Action))
	end(err, "")
	return lock, err
}

// stopByHand stops a service. That is noted first, so that nothing starts it again on
// its own.
func stopByHand(ctx context.Context, s *Start, service string) error {
	if err := s.Host.ByHand(s.Name).Note(service); err != nil {
		return err
	}
	end := progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Step("stop", service)
	err := stack.Named(s.Host.Stacks, s.Name).Stop(ctx, service)
	if err != nil {
		s.Host.ByHand(s.Name).Forget(service)
	}
	end(err, service)
	return err
}

// mayStartByHand says why nothing of a stack may be started by hand.
func mayStartByHand(ctx context.Context, s *Start) error {
	if s.Stopped {
		return fault.WithHint(fmt.Errorf("stack %s is declared stopped", s.Name), "salvor up "+s.Name)
	}
	local := s.Host.Local(s.Name)
	if local.ReleasedAt(s.Epoch) {
		return fault.WithHint(fmt.Errorf("stack %s was released for a move that did not finish", s.Name), "salvor apply starts it where it was")
	}
	v := s.Run.Guard.Verdict(ctx, s.Stack)
	if !v.MayStart {
		return notStartedHere(s.Stack.Stack, v)
	}
	if local.Epoch != s.Epoch || v.Epoch > s.Epoch || s.Attempt().InProgress() || s.AllReady() != nil {
		return fault.WithHint(fmt.Errorf("stack %s is not completely deployed here", s.Name), "salvor apply")
	}
	return s.CheckPresent(ctx)
}

func startByHand(ctx context.Context, s *Start, req agentapi.Control) error {
	if err := s.letRun(ctx); err != nil {
		return err
	}
	var services []string
	if req.Service != "" {
		services = []string{req.Service}
	}
	stopped := s.Host.ByHand(s.Name)
	stopped.Forget(services...)
	if req.Action == agentapi.ActionStart {
		return stack.Named(s.Host.Stacks, s.Name).Start(ctx, req.Service, stopped.Services(), s.Run.sink)
	}
	return stack.Named(s.Host.Stacks, s.Name).Restart(ctx, services, stopped.Services(), s.Run.sink)
}
