package startup

import (
	"context"
	"fmt"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// recreates reports whether a project that runs here is taken over from a draft: its
// containers are made again, once.
func recreates(ctx context.Context, s *Start) (bool, error) {
	if s.Consent != project.ConsentAdopt || !s.Draft {
		return false, nil
	}
	if err := s.Run.Need(ctx, needEngine); err != nil {
		return false, err
	}
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	return err == nil && !seen[0].Deployed, err
}

// prepareDraft has everything ready for the containers to be made again: their data is the
// stack's and in a snapshot, and the images are those that run. It may be called again.
func prepareDraft(ctx context.Context, s *Start, d *stack.Deployment, receipt *agentapi.StackReceipt) error {
	running, err := stack.Named(s.Host.Stacks, s.Name).Running(ctx, *d)
	if err == nil {
		err = s.PrepareVolumes(ctx, d, receipt)
	}
	if err != nil {
		return err
	}
	hold.At(ctx, "draft-marked")
	for service, pinned := range d.Images {
		running[service] = pinned
	}
	d.Images = running
	if len(s.Protected()) == 0 || len(s.Targets) == 0 {
		return nil
	}
	seen, err := s.Host.Stacks.Observe(ctx, s.Name)
	if err != nil {
		return err
	}
	progress.Scope{Sink: s.Run.sink, Stack: s.Name}.Note("its containers are made again: taking a snapshot first")
	if _, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Stopped: !seen[0].Running(), Sink: s.Run.sink}); err != nil {
		return fmt.Errorf("no container was made again, since the snapshot before it failed: %w", err)
	}
	hold.At(ctx, "draft-taken")
	return nil
}

// recreatesFor says what an apply makes again from a draft, and in what that is not what runs.
func recreatesFor(s *here.Stack, c stack.Comparison) string {
	var services []string
	for _, one := range s.Project.Services {
		services = append(services, one.Name)
	}
	cause := "adopts a draft, and makes every container again: " + strings.Join(services, ", ")
	if len(c.Settings) > 0 {
		cause += "; not as they run: " + strings.Join(c.Settings, "; ")
	}
	if len(c.Unknown) > 0 {
		cause += "; not compared, since they have secrets: " + strings.Join(c.Unknown, ", ")
	}
	return cause
}
