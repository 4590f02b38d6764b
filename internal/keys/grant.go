package keys

import (
	"context"
	"fmt"
	"maps"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/progress"
	"salvor/internal/proposal"
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

// recipients returns a copy of the fleet's, to change.
func (c *Changes) recipients() fleet.Recipients {
	next := fleet.Recipients{Operators: map[string]string{}, Recovery: c.checkout.Fleet.Recipients.Recovery}
	maps.Copy(next.Operators, c.checkout.Fleet.Recipients.Operators)
	return next
}
