package keys

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secretstore"
)

// PrepareGrant proposes to make an age recipient an operator, in one commit: everything
// that the operators can open is encrypted to them as well. A name that is taken by
// another recipient is an error; the same again re-encrypts what was left out.
func (c *Changes) PrepareGrant(name, recipient string) (proposal.Proposal[Receipt], error) {
	next := c.recipients()
	p := proposal.New("grant "+name, func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		next.Operators[name] = recipient
		if err := c.confirmed.Note(ctx, grant.Operator(name, recipient)); err != nil {
			return Receipt{}, err
		}
		return c.changeKeys(ctx, change{message: "secret grant: " + name, next: next})
	})
	if has, taken := next.Operators[name]; taken && has != recipient {
		return p, fault.WithHint(fmt.Errorf("%s is already an operator with another key", name), "choose another name: alice-laptop")
	}
	p.Question = fmt.Sprintf("Let %s open every secret of the fleet, including the recovery key?", name)
	return p, c.mayDeclare(name, recipient)
}

// mayDeclare reports an invalid recipient before anything has to be opened.
func (c *Changes) mayDeclare(name, recipient string) error {
	declared, err := c.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	if _, err = controlrepo.AddRecipient(declared, name, recipient); err != nil {
		return fault.WithHint(err, "salvor key new prints a recipient; so does age-keygen -y FILE")
	}
	return nil
}

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
	p.Question = fmt.Sprintf("Remove operator %s? You will have to print the card again and change every secret.", name)
	switch {
	case !is:
		return p, fault.WithHint(fmt.Errorf("there is no operator called %s", name), "they are: "+strings.Join(names, ", "))
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
	h, err := c.changeKeys(ctx, change{
		message: "secret revoke: " + name, next: next, newRecovery: true,
		removed: &secretstore.Removal{Operator: name, At: time.Now()},
	})
	h.OwnToo = own
	return h, err
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

// recipients returns a copy of the fleet's, to change.
func (c *Changes) recipients() fleet.Recipients {
	next := fleet.Recipients{Operators: map[string]string{}, Recovery: c.checkout.Fleet.Recipients.Recovery}
	maps.Copy(next.Operators, c.checkout.Fleet.Recipients.Operators)
	return next
}
