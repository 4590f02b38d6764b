package app

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
	"salvor/internal/identity"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secretstore"
)

// NewKey makes an identity for an operator of this fleet, protected by the
// passphrase, and returns its recipient and its path. Nothing is overwritten: the
// error is then fs.ErrExist.
func (a *KeyChanges) NewKey(passphrase secret.Value) (recipient, path string, err error) {
	if path, err = identity.PathOf(a.opts.Identity, a.checkout.Fleet.Name); err != nil {
		return "", "", err
	}
	key, err := agekey.Generate()
	if err == nil {
		err = agekey.Create(path, key, passphrase, a.opts.Work)
	}
	return key.Recipient, path, err
}

// Grant makes an age recipient an operator, in one commit: everything that the
// operators can open is encrypted to them as well. A name that is taken by
// another recipient is an error; the same again re-encrypts what was left out.
func (a *KeyChanges) Grant(ctx context.Context, name, recipient string) error {
	next := a.recipients()
	if has, taken := next.Operators[name]; taken && has != recipient {
		return fault.WithHint(fmt.Errorf("%s is already an operator with another key", name), "choose another name: alice-laptop")
	}
	if err := a.mayDeclare(name, recipient); err != nil {
		return err
	}
	next.Operators[name] = recipient
	if err := a.confirmed.Note(ctx, grant.Operator(name, recipient)); err != nil {
		return err
	}
	_, err := a.changeKeys(ctx, keyChange{message: "secret grant: " + name, next: next})
	return err
}

// mayDeclare reports an invalid recipient before anything has to be opened.
func (a *KeyChanges) mayDeclare(name, recipient string) error {
	declared, err := a.checkout.File(fleet.File)
	if err != nil {
		return err
	}
	if _, err = controlrepo.AddRecipient(declared, name, recipient); err != nil {
		return fault.WithHint(err, "salvor key new prints a recipient; so does age-keygen -y FILE")
	}
	return nil
}

// Revoke removes an operator, in one commit. What they could open is encrypted again,
// to the others and to a new recovery key, since they could read the old one; every
// stack gets new snapshot repositories, since restic's passwords wrap a key that
// never changes; and which secrets they have seen is written down until each has
// another value.
//
// The last operator stays, and operators can't lock themselves out.
func (a *KeyChanges) Revoke(ctx context.Context, name string) (Handover, error) {
	next := a.recipients()
	names := slices.Sorted(maps.Keys(next.Operators))
	recipient, is := next.Operators[name]
	switch {
	case !is:
		return Handover{}, fault.WithHint(fmt.Errorf("there is no operator called %s", name), "they are: "+strings.Join(names, ", "))
	case len(names) == 1:
		return Handover{}, fault.WithHint(fmt.Errorf("%s is the only operator: without an operator, only the card opens the fleet", name),
			"first add another one with salvor secret grant NAME RECIPIENT; to replace a key: salvor key rotate")
	}
	delete(next.Operators, name)
	own, err := a.stays(name, recipient, next)
	if err != nil {
		return Handover{}, err
	}
	h, err := a.changeKeys(ctx, keyChange{
		message: "secret revoke: " + name, next: next, newRecovery: true,
		removed: &secretstore.Removal{Operator: name, At: time.Now()},
	})
	h.OwnToo = own
	return h, err
}

// stays makes sure that the present identity opens the fleet without an operator. own
// reports that it has the key of the removed one in addition to another.
func (a *KeyChanges) stays(name, recipient string, next fleet.Recipients) (own bool, err error) {
	if own, err = a.identity.Has(recipient); err != nil {
		return own, err
	}
	for _, other := range next.Operators {
		if has, err := a.identity.Has(other); err != nil || has {
			return own, err
		}
	}
	if !own {
		return own, a.showsRecovery()
	}
	return own, fault.WithHint(fmt.Errorf("you are using %s's own key, which this command would revoke", name),
		"another operator must run it: salvor secret revoke "+name)
}

// recipients returns a copy of the fleet's, to change.
func (a *KeyChanges) recipients() fleet.Recipients {
	next := fleet.Recipients{Operators: map[string]string{}, Recovery: a.checkout.Fleet.Recipients.Recovery}
	maps.Copy(next.Operators, a.checkout.Fleet.Recipients.Operators)
	return next
}
