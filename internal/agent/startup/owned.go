package startup

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// awaitFormerHost waits until the former host of a stack that is taken over has certainly
// stopped it, as far as it reaches Git or the record remote.
func (s *Start) awaitFormerHost(ctx context.Context) error {
	left := time.Until(s.Run.free[s.Name])
	if left <= 0 {
		return nil
	}
	end := progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Step("wait until its former host has stopped it", "")
	err := here.Sleep(ctx, left)
	end(err, "")
	return err
}

// awaitOwned returns when the stack may be started: on a host that has not run it at this
// epoch not before its former host has certainly stopped it, and nowhere once it is lost.
func (s *Start) awaitOwned(ctx context.Context) error {
	if s.Host.Local(s.Name).Epoch < s.Epoch {
		if err := s.awaitFormerHost(ctx); err != nil {
			return err
		}
	}
	return s.checkStillOwned(ctx)
}

// checkStillOwned looks once more, right before a start: since the first look minutes may
// have passed in which data came down. Where nothing answers now, that one holds.
func (s *Start) checkStillOwned(ctx context.Context) error {
	released := s.Run.Local(s.Name).ReleasedAt(s.Epoch)
	look := s.Run.Guard.Verdict
	if released {
		look = s.Run.Guard.Now // the host that takes it over may have claimed it a moment ago
	}
	if v := look(ctx, s.Stack); v.State == record.Lost || released && v.State != record.Own {
		return notStartedHere(s.Stack.Stack, v)
	}
	return nil
}

func notStartedHere(st agentapi.Stack, v record.Verdict) error {
	return fault.WithHint(fmt.Errorf("stack %s is not started here: %s", st.Name, v.Reason), "salvor status shows who owns it")
}
