package confirmation

import (
	"context"
	"errors"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/needs"
)

// Grants returns what the commit lets others do and this clone's operator has not
// confirmed, see package grant. next is the lock that the command is to put in
// force: a stack whose seal is made from just these secrets already is given
// nothing by it.
func (c *Confirmed) Grants(ctx context.Context, next fleet.Lock) ([]grant.Grant, error) {
	missing, err := c.unconfirmed(ctx, next)
	if err != nil {
		return nil, err
	}
	remotes, err := c.unapproved(next)
	for _, r := range remotes {
		missing = append(missing, grant.Remote(r.remote.Name, r.question))
	}
	return missing, err
}

// unconfirmed is Grants without the remotes, whose approvals are kept by themselves.
func (c *Confirmed) unconfirmed(ctx context.Context, next fleet.Lock) ([]grant.Grant, error) {
	book, err := c.ledger(ctx)
	if err != nil {
		return nil, err
	}
	standing := slices.Concat(declaredGrants(c.checkout.Repository), c.secretGrants())
	doubted, err := c.doubted()
	if err != nil {
		return nil, err
	}
	var missing []grant.Grant
	for _, g := range book.Missing(standing) {
		switch stack, isSecret := strings.CutPrefix(g.Name, "secret/"); {
		case renamedGrant(c.checkout.Repository, book, g), c.ownSecret(book, g):
		case isSecret && (c.leftAlone(stack) || c.sealedAlready(stack, next)):
		case isSecret:
			st, _ := c.checkout.Fleet.Stack(stack)
			missing = append(missing, grant.Secret(stack, c.needs.HostOf(st), g.Value(), c.whoseSecret(g.Value(), stack)))
		default:
			if i := slices.IndexFunc(doubted, g.Is); i >= 0 {
				g.Text += "; this is not signed with the fleet's key"
			}
			missing = append(missing, g)
		}
	}
	return missing, nil
}

// doubted are the grants of files that the fleet's key has not signed.
func (c *Confirmed) doubted() ([]grant.Grant, error) {
	unsigned, err := c.Unsigned()
	lets := hostFiles(c.checkout.Repository)
	var all []grant.Grant
	for path := range unsigned {
		all = append(all, lets[path]...)
	}
	return all, err
}

// ConfirmGrants has the operator confirm, by their names, what Grants returns, and
// remembers it in this clone. Without a way to ask it is an error.
func (c *Confirmed) ConfirmGrants(ctx context.Context, next fleet.Lock) error {
	missing, err := c.unconfirmed(ctx, next)
	if err != nil {
		return err
	}
	if err := c.confirm(ctx, missing); err != nil {
		return err
	}
	remotes, err := c.unapproved(next)
	for _, r := range remotes {
		err = errors.Join(err, c.AllowRemote(r.remote))
	}
	return err
}

// MayEncrypt is ConfirmGrants for what is about to be encrypted to the operators and
// the recovery key.
func (c *Confirmed) MayEncrypt(ctx context.Context) error {
	missing, err := c.unconfirmed(ctx, c.checkout.Lock)
	if err != nil {
		return err
	}
	return c.confirm(ctx, slices.DeleteFunc(missing, func(g grant.Grant) bool { return !g.Opens() }))
}

// MayChangeKeys is mayEncrypt for a change of the fleet's recipients: those that it
// removes need no confirmation, and one that renews repositories makes every seal
// again.
func (c *Confirmed) MayChangeKeys(ctx context.Context, to fleet.Recipients, removes bool) error {
	lock := c.checkout.Lock
	if removes {
		lock = fleet.Lock{}
	}
	missing, err := c.unconfirmed(ctx, lock)
	if err != nil {
		return err
	}
	next := c.checkout.Declared()
	next.Fleet.Recipients = to
	stays := declaredGrants(next)
	return c.confirm(ctx, slices.DeleteFunc(missing, func(g grant.Grant) bool {
		return g.Opens() && !slices.ContainsFunc(stays, g.Is) || !g.Opens() && !removes
	}))
}

// Recipients returns those of the fleet's recipients that this clone's
// operator confirmed.
func (c *Confirmed) Recipients(ctx context.Context) ([]string, error) {
	book, err := c.ledger(ctx)
	if err != nil {
		return nil, err
	}
	confirmed := fleet.Recipients{Operators: map[string]string{}}
	for name, recipient := range c.checkout.Fleet.Recipients.Operators {
		if book.Has(grant.Operator(name, recipient)) {
			confirmed.Operators[name] = recipient
		}
	}
	if r := c.checkout.Fleet.Recipients.Recovery; book.Has(grant.Recovery(r)) {
		confirmed.Recovery = r
	}
	if len(confirmed.All()) == 0 {
		return nil, grant.Unconfirmed(grant.Names(declaredGrants(c.checkout.Repository)))
	}
	return confirmed.All(), nil
}

// Note keeps what the operator of this clone has just asked for by its name.
func (c *Confirmed) Note(ctx context.Context, all ...grant.Grant) error {
	book, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	return c.keepLedger(book.With(all...))
}

// Has reports whether the operator of this clone has confirmed a grant.
func (c *Confirmed) Has(ctx context.Context, g grant.Grant) (bool, error) {
	book, err := c.ledger(ctx)
	return book.Has(g), err
}

func (c *Confirmed) confirm(ctx context.Context, missing []grant.Grant) error {
	if len(missing) == 0 {
		return nil
	}
	if c.opts.Grant == nil {
		return grant.Unconfirmed(grant.Names(missing))
	}
	for _, name := range grant.Names(missing) {
		if err := c.opts.Grant(grant.Named(missing, name)); err != nil {
			return err
		}
	}
	return c.Note(ctx, missing...)
}

// Delivered remembers, after an apply, what stacks were given without a question.
func (c *Confirmed) Delivered(ctx context.Context) error {
	book, err := c.ledger(ctx)
	if err != nil {
		return err
	}
	var own []grant.Grant
	for _, g := range slices.Concat(declaredGrants(c.checkout.Repository), c.secretGrants()) {
		if c.ownSecret(book, g) {
			own = append(own, g)
		}
	}
	return c.keepLedger(book.With(own...).Delivered())
}

// ownSecret reports whether a stack or a registry is given what this clone itself has
// set since the last apply: a secret of the stack's own, or one that nothing else uses.
func (c *Confirmed) ownSecret(book grant.Ledger, g grant.Grant) bool {
	kind, to, _ := strings.Cut(g.Name, "/")
	stack := ""
	switch name := g.Value(); {
	case kind != "secret" && kind != "registry" || !book.Made(name):
		return false
	case kind == "secret":
		stack = to
		if of, _, is := c.needs.Variable(name); is {
			return of == stack
		}
	}
	return !slices.ContainsFunc(c.needs.Uses(g.Value()), func(u needs.Use) bool {
		return u.Stack != stack || u.Fleet != "" && u.Fleet != kind+" "+to
	})
}

// leftAlone reports whether a stack stays as it runs, so that it is given nothing.
func (c *Confirmed) leftAlone(stack string) bool {
	st, declared := c.checkout.Fleet.Stack(stack)
	return declared && st.Broken
}

// sealedAlready reports whether a command that puts a lock in force makes no new seal
// of a stack, by the signing keys that this clone trusts already. A stack that is
// placed is sealed whatever is there: anyone who pushes can put a file there.
func (c *Confirmed) sealedAlready(stack string, next fleet.Lock) bool {
	p, placed := next.Placement(stack)
	was := c.checkout.Lock.Stacks[stack]
	if st, _ := c.checkout.Fleet.Stack(stack); !placed || was.Host != p.Host || was.Epoch != p.Epoch || st.Host != "" && st.Host != p.Host {
		return false
	}
	in, err := c.needs.Inputs(stack, next)
	if err != nil {
		return false
	}
	sealed, err := c.needs.Signed(in.Placement.Path())
	if err != nil {
		return false
	}
	pinned, err := Pinned(c.checkout.Git)
	return err == nil && sealed.Current(in, pinned) == nil
}

// renamedGrant reports whether a host has what it had under the name before.
func renamedGrant(repo *controlrepo.Repository, book grant.Ledger, g grant.Grant) bool {
	_, name, _ := strings.Cut(g.Name, "/")
	h, declared := repo.Fleet.Host(name)
	if !declared || h.Formerly == "" {
		return false
	}
	at, before := grant.Address(h.Name, ReachedAt(h), h.Jump), grant.Address(h.Formerly, ReachedAt(h), h.Jump)
	sealed, sealedBefore := HostGrant(repo, h.Name, h.Name), HostGrant(repo, h.Formerly, h.Name)
	return g.Is(at) && book.Has(before) || g.Is(sealed) && book.Has(sealedBefore)
}

// secretGrants are the secrets that stacks get, without whose they are.
func (c *Confirmed) secretGrants() []grant.Grant {
	var all []grant.Grant
	for _, st := range c.checkout.Fleet.Stacks {
		if _, loads := c.needs.Rendered()[st.Name]; !loads {
			continue
		}
		n := c.needs.Of(st.Name, c.needs.HostOf(st), c.checkout.Lock)
		for _, file := range n.Files {
			all = append(all, grant.Secret(st.Name, c.needs.HostOf(st), strings.TrimPrefix(file, fleet.SecretDir+"/"), ""))
		}
		for _, key := range n.Env {
			all = append(all, grant.Secret(st.Name, c.needs.HostOf(st), st.Name+"/"+key, ""))
		}
	}
	return all
}

// whoseSecret returns whose secret a stack gets, "" for its own.
func (c *Confirmed) whoseSecret(name, stack string) string {
	of, _, _ := strings.Cut(strings.TrimSuffix(name, ".env"), "/")
	if _, isStack := c.checkout.Fleet.Stack(of); isStack && of != stack {
		return "of stack " + of
	}
	var others []string
	for _, u := range c.needs.Uses(name) {
		who := u.Fleet
		if u.Stack != "" {
			who = "stack " + u.Stack
		}
		if u.Stack != stack && !slices.Contains(others, who) {
			others = append(others, who)
		}
	}
	if len(others) == 0 {
		return ""
	}
	return "that " + strings.Join(others, ", ") + " uses"
}
