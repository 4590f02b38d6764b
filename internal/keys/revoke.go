package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secretstore"
	"salvor/internal/suggest"
)

// PrepareRevoke proposes to remove an operator, in one commit. What they could open is
// encrypted again, to the others and to a new recovery key, since they could read the old
// one; every stack gets new snapshot repositories, since restic's passwords wrap a key that
// never changes; and the secrets that they could open are noted until each has another
// value.
//
// The last operator stays, and operators can't lock themselves out.
func (c *Changes) PrepareRevoke(name string) (proposal.Proposal[Receipt], error) {
	next := c.recipients()
	names := slices.Sorted(maps.Keys(next.Operators))
	recipient, is := next.Operators[name]
	p := proposal.New("revoke "+name, func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		return c.revoke(ctx, name, recipient, next)
	})
	p.Name = name
	p.Question = fmt.Sprintf("This removes operator %s: you will have to print the card again and change every secret.", name)
	switch {
	case !is:
		return p, fault.WithHint(fmt.Errorf("%s is not an operator%s", name, suggest.DidYouMean(name, names)), "they are: "+strings.Join(names, ", "))
	case len(names) == 1:
		return p, fault.WithHint(fmt.Errorf("%s is the only operator: without an operator, only the card opens the fleet", name),
			"first add another one with salvor secret grant NAME RECIPIENT; to replace a key: salvor key rotate")
	}
	return p, nil
}

func (c *Changes) revoke(ctx context.Context, name, recipient string, next fleet.Recipients) (Receipt, error) {
	delete(next.Operators, name)
	own, err := c.stays(name, recipient, next)
	if err != nil {
		return Receipt{}, err
	}
	r, err := c.changeKeys(ctx, change{
		message: "secret revoke: " + name, next: next, newRecovery: true,
		removed: &secretstore.Removal{Operator: name, At: time.Now()},
	})
	r.OwnToo = own
	return r, err
}

// stays makes sure that the present identity opens the fleet without an operator. own
// reports that it has the key of the removed one in addition to another.
func (c *Changes) stays(name, recipient string, next fleet.Recipients) (own bool, err error) {
	if own, err = c.identity.Has(recipient); err != nil {
		return own, err
	}
	for _, other := range next.Operators {
		if has, err := c.identity.Has(other); err != nil || has {
			return own, err
		}
	}
	if !own {
		return own, c.showsRecovery()
	}
	return own, fault.WithHint(fmt.Errorf("you are using %s's own key, which this command would revoke", name),
		"another operator must run it: salvor secret revoke "+name)
}
