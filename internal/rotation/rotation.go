// Package rotation gives a secret a new value and delivers it at once; where a stack does
// not come up with it, the old value is committed and delivered again.
package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// Secrets is the newest commit of the fleet, opened, as far as a rotation needs it.
type Secrets interface {
	// Command returns the program that prints a secret, where one does.
	Command(name string) (argv []string, printed bool)
	// MayRotate returns why a secret can't be rotated, nil when it can.
	MayRotate(name string) error
	// UsedBy returns a line for each place where a secret is needed.
	UsedBy(name string) []string
	// RotateSecret commits a new value and returns the files as they were.
	RotateSecret(ctx context.Context, name string, value secret.Value) (before secretstore.Changes, err error)
	// RaiseRevision commits that a program prints another value from now on.
	RaiseRevision(ctx context.Context, name string) error
}

// A Reopened fleet is the commit that is the newest when it is opened.
type Reopened interface {
	// UndoRotation commits a secret's files as they were.
	UndoRotation(ctx context.Context, name string, before secretstore.Changes) error
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
}

// Options say which secret gets which value.
type Options struct {
	Name     string
	Generate bool                                        // a new value is made; of a secret that a program prints, it never is
	Value    func() (secret.Value, error)                // the new value, not asked of a secret that a program prints
	Reopen   func(ctx context.Context) (Reopened, error) // opens the newest commit
}

// A Receipt is what became of the new value, and of the old one where that was delivered again.
type Receipt struct {
	Deliveries []Delivery
}

// A Delivery is one run that brought a value to hosts. Without a Kind nothing was
// delivered, since no placed stack needs the secret.
type Delivery struct {
	deploy.Receipt
	Err error // that ended the run
}

// A rotation is one that was prepared.
type rotation struct {
	Options
	secrets Secrets
	value   secret.Value
	printed bool
	receipt Receipt
}

// Prepare proposes to give a secret a new value, or, of a secret that a program prints,
// to deliver the one that it prints now. Once it runs, the old value is kept until every stack has
// come up with the new one.
func Prepare(s Secrets, o Options) (proposal.Proposal[Receipt], error) {
	r := &rotation{Options: o, secrets: s}
	p := proposal.New("rotate "+o.Name, r.run)
	argv, printed := s.Command(o.Name)
	r.printed = printed
	switch {
	case printed && o.Generate:
		return p, fault.WithHint(fmt.Errorf("%s: its value comes from %s and can't be generated here", o.Name, argv[0]), "change it there, then salvor secret rotate "+o.Name+" without --generate")
	case !printed:
		if err := s.MayRotate(o.Name); err != nil {
			return p, err
		}
		var err error
		if r.value, err = o.Value(); err != nil {
			return p, err
		}
	}
	p.Question = question(o.Name, s.UsedBy(o.Name))
	return p, nil
}

func question(name string, uses []string) string {
	if len(uses) == 0 {
		return fmt.Sprintf("Rotate %s? Nothing in the fleet uses it.", name)
	}
	return fmt.Sprintf("Rotate %s? It is used by\n  %s", name, strings.Join(uses, "\n  "))
}

// run commits and delivers the new value, and puts the old one back where a stack
// did not come up with it.
func (r *rotation) run(ctx context.Context, sink progress.Sink) (Receipt, error) {
	var before secretstore.Changes // none for what a program prints: its old value is not ours to bring back
	var err error
	if r.printed {
		err = r.secrets.RaiseRevision(ctx, r.Name)
	} else {
		before, err = r.secrets.RotateSecret(ctx, r.Name, r.value)
	}
	if err != nil {
		return r.receipt, err
	}
	fleet, err := r.Reopen(ctx)
	if err != nil {
		return r.receipt, err
	}
	failed, err := r.deliver(ctx, sink, fleet)
	switch {
	case !failed:
		return r.receipt, err
	case r.printed:
		kept := fault.WithCode(fmt.Errorf("%s keeps its new value: the old one can only be restored at its source", r.Name), fault.Partial)
		return r.receipt, errors.Join(err, fault.WithHint(kept, "restore it there, then salvor secret rotate "+r.Name))
	}
	return r.receipt, r.undo(ctx, sink, before, err)
}

// undo puts the old value back wherever the new one came. failed is why.
func (r *rotation) undo(ctx context.Context, sink progress.Sink, before secretstore.Changes, failed error) error {
	fleet, err := r.Reopen(ctx)
	if err == nil {
		err = fleet.UndoRotation(ctx, r.Name, before)
	}
	if err == nil {
		fleet, err = r.Reopen(ctx)
	}
	if err == nil {
		_, err = r.deliver(ctx, sink, fleet)
	}
	if err != nil {
		return fault.WithHint(errors.Join(failed, fmt.Errorf("the old value of %s could not be restored everywhere: %w", r.Name, err)), "salvor plan")
	}
	return errors.Join(failed, fault.WithCode(fmt.Errorf("%s has its old value again", r.Name), fault.Partial))
}

// deliver applies the newest commit on the hosts whose seals the secret is
// part of. It reports whether a stack did not come up.
func (r *rotation) deliver(ctx context.Context, sink progress.Sink, fleet Reopened) (failed bool, err error) {
	s, err := fleet.Session(ctx, sink)
	if err != nil {
		return false, err
	}
	hosts, stacks, err := sealedFor(ctx, s)
	if err != nil {
		return false, err
	}
	var d Delivery
	if len(hosts) > 0 {
		d.Receipt, d.Err = s.Apply(ctx, s.OnHost(hosts...), s.Lock, deploy.Options{Kind: deploy.KindRotate, Message: "secret rotate: " + r.Name, Asked: stacks, Unplanned: true})
	}
	r.receipt.Deliveries = append(r.receipt.Deliveries, d)
	if err = d.Err; err == nil {
		err = d.Receipt.Err()
	}
	return len(d.Failed()) > 0, err
}

// sealedFor returns the stacks whose seals are out of date and their hosts, sorted.
func sealedFor(ctx context.Context, s *deploy.Session) (hosts, stacks []string, err error) {
	stale, err := s.StaleSeals(ctx)
	if err != nil {
		return nil, nil, err
	}
	stacks = slices.Sorted(maps.Keys(stale))
	for _, stack := range stacks {
		hosts = append(hosts, s.Lock.Stacks[stack].Host)
	}
	slices.Sort(hosts)
	return slices.Compact(hosts), stacks, nil
}
