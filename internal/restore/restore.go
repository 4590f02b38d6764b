// Package restore brings a stack's data back to a snapshot, in place: the restore is part
// of a commit, so one that is interrupted is finished by the same command again, by the
// next apply, or by the host when it boots.
package restore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/project"
	"salvor/internal/proposal"
	"salvor/internal/suggest"
	"salvor/internal/terminal"
)

// Options say what is restored.
type Options struct {
	Snapshot string    // the beginning of its id, "" for the newest that may be restored
	At       time.Time // without Snapshot: the newest at or before then, zero for any
	From     string    // the target that it is taken from, "" for the first that has it
	Volumes  []string  // by name, or as a Compose file has them; none for all
}

// Prepare proposes to restore a snapshot of a stack. Of some volumes only these go back;
// the other ones, and the images, stay as they are.
func Prepare(ctx context.Context, s *deploy.Session, stack string, o Options) (proposal.Proposal[deploy.Receipt], error) {
	var none proposal.Proposal[deploy.Receipt]
	volumes, err := protected(s, stack, o.Volumes)
	if err != nil {
		return none, err
	}
	list, err := s.Snapshots(ctx, stack)
	if err != nil {
		return none, err
	}
	if targets := s.Fleet.TargetNames(); o.From != "" && !slices.Contains(targets, o.From) {
		return none, fault.WithHint(fmt.Errorf("the fleet has no snapshot target %s%s", o.From, suggest.DidYouMean(o.From, targets)), "fleet.yaml lists them under data.snapshots")
	}
	chosen, err := choose(list, o)
	if err == nil {
		err = holds(stack, chosen, volumes)
	}
	if err != nil {
		return none, err
	}
	at := s.Lock.Stacks[stack]
	goOn := at.Wish() != nil && goesOn(at.Wish(), chosen.ID, names(volumes), standing(ctx, s, at.Host, stack))
	p, err := s.Amend(deploy.KindRestore, stack, func(lock fleet.Lock, stack string) fleet.Lock {
		lock = placement.Start(lock, stack)
		if goOn {
			return lock
		}
		return placement.Restore(lock, stack, chosen.ID, names(volumes)...)
	})
	p.Question, p.Name = Question(stack, chosen), stack
	p.Loses = []string{fmt.Sprintf("what %s has written since %s", stack, chosen.Began.UTC().Format(time.DateTime))}
	if len(volumes) > 0 {
		p.Question = partly(stack, chosen, volumes, at.Images)
		p.Loses = nil
		for _, v := range volumes {
			p.Loses = append(p.Loses, fmt.Sprintf("what %s has written to %s since %s", stack, project.AsWritten(v.Name), chosen.Began.UTC().Format(time.DateTime)))
		}
	}
	p.Question += unheard(list)
	return p, err
}

// Withdraw proposes to take a restore back that is not done.
func Withdraw(s *deploy.Session, stack string) (proposal.Proposal[deploy.Receipt], error) {
	p, err := s.Amend(deploy.KindWithdraw, stack, placement.Withdraw)
	if err == nil && s.Lock.Stacks[stack].Restore == nil {
		err = fault.WithHint(fmt.Errorf("stack %s has no pending restore", stack), "salvor status")
	}
	p.Question = fmt.Sprintf("Cancel the restore of %s and keep its data as it is?", stack)
	return p, err
}

// Question asks whether a stack's data may go back to a snapshot.
func Question(stack string, s agentapi.SnapshotRow) string {
	return fmt.Sprintf("Restore %s to snapshot %.8s: %s old, %s in %s.\nThis replaces the data written since then; a snapshot of that is taken first.",
		stack, s.ID, terminal.Duration(time.Since(s.Began)), terminal.Bytes(s.Bytes), terminal.Count(s.Files, "file"))
}

// goesOn reports whether asking for a snapshot means a wish that stands already:
// one for the same snapshot and volumes that its host has neither fulfilled nor failed at. A
// host that does not say counts as one that has done nothing yet.
func goesOn(wish *fleet.Restore, snapshot string, volumes []string, said *agentapi.Wish) bool {
	return wish.Snapshot == snapshot && slices.Equal(wish.Volumes, volumes) && (said == nil || said.ID != wish.ID || said.State == agentapi.WishPending)
}

// standing asks a stack's host for the state of its wish; nil if it does not report it.
func standing(ctx context.Context, s *deploy.Session, host, stack string) *agentapi.Wish {
	for _, st := range s.ObserveSome(ctx, s.Lock, host)[host].State.Stacks {
		if st.Name == stack {
			return st.Wish
		}
	}
	return nil
}
