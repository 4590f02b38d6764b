package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// A Listed is a file that has a claim's name, for people.
type Listed struct {
	Stack string
	Claim
	Ignored string // why it does not count, "" for a claim that the fleet signed
}

// AllClaims returns every file that has a claim's name, also of stacks that the fleet
// does not have: by stack, the highest epoch first.
func (r *Record) AllClaims(ctx context.Context) ([]Listed, error) {
	files, err := r.store.List(ctx, "claims")
	if err != nil {
		return nil, err
	}
	keys, err := r.trust.keys()
	if err != nil {
		return nil, err
	}
	var all []Listed
	for _, f := range files {
		stack, name, _ := strings.Cut(f.Path, "/")
		epoch, id, ok := parseClaimName(name)
		if !ok || fleet.ValidName(stack) != nil {
			continue
		}
		l := Listed{Stack: stack, Claim: Claim{Epoch: epoch, ID: id}}
		ignored, err := r.readClaim(ctx, keys, stack, &l.Claim)
		if err != nil {
			return nil, err
		}
		if ignored != nil {
			l.Host, l.Ignored = ignored.Host, ignored.Why
		}
		all = append(all, l)
	}
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(cmp.Compare(a.Stack, b.Stack), cmp.Compare(b.Epoch, a.Epoch), cmp.Compare(a.ID, b.ID))
	})
	return all, nil
}

// DropClaim takes a stack's claim away, whatever the file holds.
func (r *Record) DropClaim(ctx context.Context, stack, id string) error {
	names, err := r.claimNames(ctx, stack)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(names, func(c Claim) bool { return c.ID == id })
	if i < 0 {
		return fault.WithHint(fmt.Errorf("%s has no claim %s", stack, id), "salvor claim ls "+stack+" lists them")
	}
	err = r.store.Delete(ctx, claimsDir(stack)+"/"+claimName(names[i].Epoch, id))
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	return err
}
