package checkout

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/git"
)

// checkSigned refuses a newest commit that is signed by none of the keys that this
// clone goes by. They are those of the last commit that it accepted, so that a commit
// can't list its own author; the first one's are taken as they are, as the clone is.
func (c *Checkout) checkSigned(ctx context.Context) error {
	if c.Files != Committed {
		return nil // what is not committed yet
	}
	by, err := c.Git.Signers(ctx)
	if err != nil {
		return err
	}
	if by.Empty() {
		by = c.Signers
	}
	if by.Empty() {
		return nil
	}
	c.Git.OnlySigned(by)
	if err := c.Git.Signed(ctx, c.Commit, by); errors.Is(err, git.ErrUnsigned) {
		return fault.WithHint(fmt.Errorf("the newest commit does not count: %w", err),
			"git log --show-signature; your own: git commit --amend --no-edit -S; another's that you trust: git commit --allow-empty -S on top of it; else git reset --keep COMMIT goes back")
	} else if err != nil {
		return err
	}
	return c.Git.GoBy(ctx, c.Signers)
}
