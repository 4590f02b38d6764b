package startup

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/memdir"
	"salvor/internal/project"
	"salvor/internal/stack"
)

// adopt takes over a project that runs here as it is: no container is touched. The record
// comes first, so that an apply after an interruption finds a stack that is deployed, and
// recreates nothing. It may be called again, and ends the same.
func adopt(ctx context.Context, s *Start, d stack.Deployment, receipt *agentapi.StackReceipt) error {
	if err := s.Run.Need(ctx, needEngine); err != nil {
		return err
	}
	if err := s.awaitOwned(ctx); err != nil {
		return err
	}
	if err := adoptable(ctx, s.Stack); err != nil {
		return err
	}
	decided, err := keeper.ArchiveOf(s.Stack).Decisions(ctx)
	if err == nil {
		err = refusal(s.Stack.Stack, decided)
	}
	if err != nil {
		return err
	}
	hold.At(ctx, "adopt-compared")
	result, err := stack.Named(s.Host.Stacks, s.Name).Adopt(ctx, d)
	if err != nil {
		return err
	}
	hold.At(ctx, "adopt-recorded")
	err = s.markVolumes(decided)
	hold.At(ctx, "adopt-marked")
	if err == nil {
		err = s.writeSecrets(ctx)
	}
	if err != nil {
		return err
	}
	s.noteStarted()
	if err := s.Host.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	hold.At(ctx, "adopt-noted")
	receipt.Outcome, receipt.Healthy, receipt.Images, receipt.Born = "adopted", time.Now().UTC(), result.Images, s.Births()
	s.reportFacts(ctx, result, receipt.Born, "")
	hold.At(ctx, "adopt-reported")
	firstSnapshot(ctx, s)
	return nil
}

// firstSnapshot is of a stack that was taken over. Where it can't be taken now, the next one
// is due in any case.
func firstSnapshot(ctx context.Context, s *Start) {
	if len(s.Protected()) == 0 || len(s.Targets) == 0 {
		return
	}
	if _, err := s.Run.TakeLocked(ctx, s.Stack, keeper.Taking{Sink: s.Run.sink}); err != nil {
		s.Run.Warn(s.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: s.Run.Spec.Name + "/" + s.Name,
			Text: "it is taken over, and its data is in no snapshot yet: " + err.Error(), Fix: "salvor snapshot take " + s.Name,
		})
	}
}

// adoptable returns an error where a stack can't be taken over as it runs. One that was
// taken over already can, again.
func adoptable(ctx context.Context, s *here.Stack) error {
	compared, err := compareAdopted(ctx, s.Host.Stacks, s)
	if err != nil {
		return err
	}
	if len(compared.Differs) > 0 {
		return fault.WithHint(fmt.Errorf("stack %s is not taken over, %w: %s", s.Name, stack.ErrDiffers, strings.Join(compared.Differs, "; ")), adoptFix(s, compared))
	}
	if len(compared.Unknown) > 0 {
		return fault.WithHint(fmt.Errorf("stack %s is not taken over: %s can't be compared without its secrets", s.Name, strings.Join(compared.Unknown, ", ")), "salvor apply --adopt "+s.Name)
	}
	return nil
}

// adoptFix is what makes Git and the host the same, or does without.
func adoptFix(s *here.Stack, c stack.Comparison) string {
	otherwise := "; salvor apply --take " + s.Name + " starts what Git says, with the data on this host"
	project, managed := "", ", or deploy it again in Komodo, Dockge or Portainer if that started it"
	if s.Adopt == nil {
		managed = ""
	} else if name := s.Project.Called(s.Name); name != path.Base(s.Adopt.Dir) {
		project = "-p " + name + " "
		managed = ", or deploy it again in what started it as project " + name + " (Komodo, Dockge, Portainer, docker compose -p " + name + ")"
	}
	if c.Renewed() {
		return fmt.Sprintf("on %s, in %s: docker compose %sup --detach recreates them with the Compose that is there%s; then run this again", s.Spec.Name, s.Adopt.Dir, project, managed) + otherwise
	}
	return "put the files in Git as they are on the host" + managed + "; then run this again" + otherwise
}

// compareAdopted compares what runs of a stack with what Git says. Secrets that are not
// opened here are unknown.
func compareAdopted(ctx context.Context, stacks *stack.Host, s *here.Stack) (stack.Comparison, error) {
	seen, err := stacks.Observe(ctx, s.Name)
	if err != nil {
		return stack.Comparison{}, err
	}
	d := s.Deployment()
	switch {
	case seen[0].Untouched(d):
		return stack.Comparison{}, nil
	case seen[0].Deployed:
		return stack.Unlike("it is Salvor's already, and Git says something else: salvor apply without --adopt"), nil
	case s.Adopt == nil:
		return stack.Unlike("x-salvor.dir does not say in which folder of the host it was started"), nil
	}
	root, err := here.Private(s.Host)
	if err != nil {
		return stack.Comparison{}, err
	}
	compared, err := stack.Named(stacks, s.Name).Compare(ctx, d, *s.Adopt, s.Variables(), root)
	return compared, errors.Join(err, memdir.Remove(root))
}

// Adoptable says what an apply would take over of what runs here, and what is in its way.
func Adoptable(ctx context.Context, s *here.Stack) (cause string, found []finding.Finding, err error) {
	if s.Consent != project.ConsentAdopt {
		return "", nil, nil
	}
	stacks := stack.Wanting(s.Host.Stacks, map[string]string{s.Name: s.Project.Name})
	c, err := compareAdopted(ctx, stacks, s)
	if err != nil {
		return "", nil, err
	}
	if seen, err := stacks.Observe(ctx, s.Name); err != nil || s.Draft && !seen[0].Deployed {
		return recreatesFor(s, c), nil, err
	}
	for _, line := range c.Differs {
		found = append(found, finding.Finding{Code: finding.AdoptDiffers, Severity: finding.Fatal, Subject: s.Spec.Name + "/" + s.Name,
			Text: stack.ErrDiffers.Error() + ": " + line, Fix: adoptFix(s, c)})
	}
	if len(found) > 0 {
		return "", found, nil
	}
	if len(c.Same)+len(c.Unknown) == 0 {
		return "", nil, nil
	}
	cause = "adopts, and these keep running: " + strings.Join(append(c.Same, c.Unknown...), ", ")
	if len(c.Unknown) > 0 {
		cause += "; compared by the apply, with their secrets: " + strings.Join(c.Unknown, ", ")
	}
	return cause, nil, nil
}
