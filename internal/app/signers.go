package app

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
)

// checkSigned refuses a newest commit that is signed by none of the keys that this
// clone goes by. They are those of the last commit that it accepted, so that a commit
// can't list its own author; the first one's are taken as they are, as the clone is.
func (a *App) checkSigned(ctx context.Context) error {
	if a.opts.Files != Committed {
		return nil // what is not committed yet
	}
	by, err := a.git.Signers(ctx)
	if err != nil {
		return err
	}
	if by.Empty() {
		by = a.repo.Signers
	}
	if by.Empty() {
		return nil
	}
	a.git.OnlySigned(by)
	if err := a.git.Signed(ctx, a.commit, by); errors.Is(err, controlrepo.ErrUnsigned) {
		return fault.WithHint(fmt.Errorf("the newest commit is not accepted: %w", err),
			"git log --show-signature; if it is yours: git commit --amend --no-edit -S; if it is another's and you trust "+
				"it: git commit --allow-empty -S on top of it; otherwise go back with git reset --keep COMMIT")
	} else if err != nil {
		return err
	}
	return a.git.GoBy(ctx, a.repo.Signers)
}
