package keys

import (
	"context"
	"errors"
	"time"

	"salvor/internal/fault"
	"salvor/internal/git"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secretstore"
)

// PrepareRotateRecovery proposes to replace the recovery key, in one commit. If someone
// else may have the old one, the same follows as from removing an operator. The present
// identity must be an operator's, which shows the new key for as long as it is in force:
// the card could not, and would open nothing any more.
func (c *Changes) PrepareRotateRecovery(compromised bool) proposal.Proposal[Receipt] {
	p := proposal.New("rotate the recovery key", func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		return c.rotateRecovery(ctx, compromised)
	})
	p.Question = "Replace the recovery key? Cards printed before will not open anything new."
	return p
}

func (c *Changes) rotateRecovery(ctx context.Context, compromised bool) (Receipt, error) {
	if err := c.showsRecovery(); err != nil {
		return Receipt{}, err
	}
	want := change{message: "key rotate --recovery: new recovery key", next: c.recipients(), newRecovery: true}
	if compromised {
		want.removed = &secretstore.Removal{Key: "recovery", At: time.Now()}
	}
	return c.changeKeys(ctx, want)
}

// showsRecovery is an error unless the present identity opens what is encrypted to
// the operators.
func (c *Changes) showsRecovery() error {
	for _, recipient := range c.checkout.Fleet.Recipients.Operators {
		if has, err := c.identity.Has(recipient); err != nil || has {
			return err
		}
	}
	return fault.WithHint(errors.New("this identity does not belong to an operator, so it could not show the new recovery key"), makesAnOperator)
}

// makesAnOperator is the hint for who has the card alone.
const makesAnOperator = "if you only have the card, make an operator first: salvor key new, then salvor --identity CARD secret grant NAME RECIPIENT"

// commitKeys commits a change of keys. A new recovery key is in force only where it
// is pushed: else others would continue with the old one, and cards printed here
// would open nothing of theirs. So its commit is taken back when its push fails.
func (c *Changes) commitKeys(ctx context.Context, want change, files map[string][]byte) error {
	if !want.newRecovery {
		return c.checkout.CommitFiles(ctx, files, want.message)
	}
	err := c.checkout.CommitOrNothing(ctx, files, want.message)
	if errors.Is(err, git.ErrGitAway) {
		return fault.WithHint(errors.Join(errors.New("no key was replaced"), err), pushFirst)
	}
	return err
}

// pushFirst is the hint for who commits while the Git host is away.
const pushFirst = "once the Git host is back, run it again; if it is gone permanently: git remote set-url origin URL of a new one, and git push"
