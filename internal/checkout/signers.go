package checkout

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/git"
)

// checkSigned refuses a newest commit that is signed by none of the keys that this
// clone trusts. They are those of the last commit that it accepted, so that a commit
// can't list its own author; the first one's are taken as they are, as the clone is.
func (c *Checkout) checkSigned(ctx context.Context) error {
	if c.Files != Committed {
		return nil // what is not committed yet
	}
	by, err := c.Git.Signers()
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
		return fault.WithHint(fmt.Errorf("the newest commit is not accepted: %w", err),
			"git log --show-signature; if it is yours: git commit --amend --no-edit -S; if it is another's and you trust "+
				"it: git commit --allow-empty -S on top of it; otherwise go back with git reset --keep COMMIT")
	} else if err != nil {
		return err
	}
	return c.Git.SetSigners(c.Signers)
}
