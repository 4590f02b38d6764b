package startup

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/delivery"
	"salvor/internal/hold"
	"salvor/internal/stack"
)

// deliverSecrets is for a stack that restores nothing.
func (s *Start) deliverSecrets(ctx context.Context) error {
	if err := s.Run.Need(ctx, needEngine); err != nil {
		return err
	}
	return s.writeSecrets(ctx)
}

// createContainers makes volumes and containers, not started, and pulls what they need.
func (s *Start) createContainers(ctx context.Context, d stack.Deployment) error {
	if err := s.deliverSecrets(ctx); err != nil {
		return err
	}
	done, err := s.Run.turns.take(ctx, false)
	if err != nil {
		return err
	}
	defer done()
	return s.Run.phase("pull images", s.Name, func() error { return s.Host.Stacks.Create(ctx, d, s.Run.sink) })
}

// start opens the gate and deploys. The epoch is remembered before anything
// runs, so that a host which dies now knows at its boot what it ran.
func (s *Start) start(ctx context.Context, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	hold.At(ctx, "start")
	if err := s.awaitOwned(ctx); err != nil {
		return err
	}
	s.noteStarted()
	s.Host.ByHand(s.Name).Forget() // a deploy starts everything
	if err := s.Host.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	pending, err := delivery.Pending(s.Host.Paths.Secrets(), s.Name)
	if err != nil {
		return err
	}
	d.EnvChanged, d.NoRestore = pending.Env, receipt.Restored != nil || s.Attempt().State == here.AttemptTrying
	done, err := s.Run.turns.take(ctx, receipt.Restored != nil)
	if err != nil {
		return err
	}
	defer done()
	var result stack.Result
	notified := false
	err = s.Run.phase("start", s.Name, func() error {
		var err error
		if result, err = s.Host.Stacks.Deploy(ctx, d, s.Run.sink); err == nil {
			notified, err = s.notifyServices(ctx, pending, result)
		}
		return err
	})
	if err != nil {
		return afterFailure(ctx, s, d, err)
	}
	if err := os.Remove(s.Host.AttemptPath(s.Name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.Host.Trouble("attempts", err)
	}
	receipt.Healthy, receipt.Images = time.Now().UTC(), result.Images
	receipt.Outcome = outcome(result, receipt, notified)
	if !result.Untouched {
		s.probe(ctx)
	}
	born := s.Births()
	receipt.Born = born
	s.reportFacts(ctx, result, born, receipt.Wish)
	return nil
}

func outcome(result stack.Result, receipt *agentapi.StackReceipt, notified bool) string {
	switch {
	case receipt.Restored != nil:
		return "restored"
	case result.Untouched && notified:
		return "reloaded"
	case result.Untouched:
		return "untouched"
	}
	return "deployed"
}

// reportFacts writes down on the record remote what the host learned, for the case
// that the operator never hears of it. With the remote away the receipt has it.
func (s *Start) reportFacts(ctx context.Context, result stack.Result, born map[string]time.Time, wish string) {
	if len(born) == 0 && wish == "" && maps.Equal(result.Images, s.Images) {
		return
	}
	s.Run.Report(ctx, s.Stack, result.Images, born, wish)
}
