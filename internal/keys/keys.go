// Package keys changes who opens the fleet, and the keys that are its own.
package keys

import (
	"context"
	"maps"
	"slices"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/exposed"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/identity"
	"salvor/internal/lockfile"
	"salvor/internal/needs"
	"salvor/internal/placement"
	"salvor/internal/reach"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/sealing"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// Options say with which files and for whom keys are changed.
type Options struct {
	Identity string            // the operator's identity file, "" for the usual place
	Work     agekey.WorkFactor // of the passphrases of new identities
	// Again opens the newest commit once more, for a look at what this command has made
	// of it. The caller closes it.
	Again func(context.Context) (k *Changes, closes func() error, err error)
	// Record has work done on the fleet's record, opened.
	Record func(ctx context.Context, work func(*record.Record) error) error
}

// Changes change the keys of one commit's fleet, in the next one.
type Changes struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	fleetKeys *fleetkeys.Keys
	exposed   *exposed.Secrets
	reach     *reach.Dialer
	opts      Options
}

// New returns those of a checkout's fleet.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, f *fleetkeys.Keys, s *exposed.Secrets, d *reach.Dialer, o Options) *Changes {
	return &Changes{checkout: c, identity: id, needs: n, confirmed: confirmed, fleetKeys: f, exposed: s, reach: d, opts: o}
}

// A change is one of whom the fleet is encrypted to.
type change struct {
	message     string
	next        fleet.Recipients
	newRecovery bool                 // next gets another recovery key
	removed     *secretstore.Removal // who must not open anything new; nil when no one is removed
}

// A Receipt is what a change of keys leaves for people to do.
type Receipt struct {
	Stacks  []string         // that write their snapshots to new repositories
	Exposed []exposed.Secret // secrets that need another value
	OwnToo  bool             // the present identity has the removed key in addition to another
}

// changeKeys makes a change in one commit: fleet.yaml, .sops.yaml, and everything
// that the operators can open, encrypted to the next recipients alone. It needs an
// identity that opens what there is. Afterwards c has the next recipients, and
// opens with the next recovery key as well.
func (c *Changes) changeKeys(ctx context.Context, want change) (Receipt, error) {
	var r Receipt
	if err := c.confirmed.MayChangeKeys(ctx, want.next, want.removed != nil); err != nil {
		return r, err
	}
	recovery, err := c.recoveryFor(&want)
	if err != nil {
		return r, err
	}
	declared, err := c.declareRecipients(want.next)
	if err != nil {
		return r, err
	}
	c.checkout.Fleet.Recipients = want.next
	c.identity.Use(identity.Keyrings{c.identity.Ring, recovery})
	files := map[string][]byte{fleet.File: declared}
	if err := c.encryptAll(ctx, recovery, files); err != nil {
		return r, err
	}
	if want.removed != nil {
		if r.Stacks, err = c.renewRepositories(ctx, files); err != nil {
			return r, err
		}
		if r.Exposed, err = c.exposed.NoteRemoval(*want.removed, files); err != nil {
			return r, err
		}
	}
	return r, c.commitKeys(ctx, want, files)
}

// recoveryFor returns the recovery key after the change, a new one if it is to be
// replaced.
func (c *Changes) recoveryFor(want *change) (agekey.Key, error) {
	if !want.newRecovery {
		return c.fleetKeys.Recovery()
	}
	key, err := agekey.Generate()
	want.next.Recovery = key.Recipient
	return key, err
}

// declareRecipients returns fleet.yaml with other recipients.
func (c *Changes) declareRecipients(next fleet.Recipients) ([]byte, error) {
	content, err := c.checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	was := c.checkout.Fleet.Recipients
	for _, name := range slices.Sorted(maps.Keys(was.Operators)) {
		if next.Operators[name] != "" {
			continue
		}
		if content, err = controlrepo.RemoveRecipient(content, name); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next.Operators)) {
		if content, err = controlrepo.AddRecipient(content, name, next.Operators[name]); err != nil {
			return nil, err
		}
	}
	if next.Recovery == was.Recovery {
		return content, nil
	}
	return controlrepo.SetRecovery(content, next.Recovery)
}

// encryptAll adds to files whatever is not encrypted to exactly the fleet's
// recipients.
func (c *Changes) encryptAll(ctx context.Context, recovery agekey.Key, files map[string][]byte) error {
	recipients := c.checkout.Fleet.Recipients
	key, err := c.fleetKeys.SigningKey(ctx)
	if err != nil {
		return err
	}
	if files[sops.ConfigPath], err = sops.Config(recipients.All()); err != nil {
		return err
	}
	sealed, err := seal.SealKey(recovery, key, slices.Sorted(maps.Values(recipients.Operators))...)
	if err != nil {
		return err
	}
	maps.Copy(files, sealed.Files(agekey.RecoveryPath))
	changes, err := c.identity.Store.Writer().Reencrypt()
	if err != nil {
		return err
	}
	maps.Copy(files, changes)
	return c.needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		if sealed.RecoveryCurrent(stack, recipients.All(), sign.Keys{key.Public()}) == nil {
			return nil
		}
		opened, err := c.fleetKeys.OpenRecovery(stack, sealed)
		if err == nil {
			sealed, err = opened.Seal(recipients.All(), key)
			maps.Copy(files, sealed.Files(seal.RecoveryPath(stack)))
		}
		return err
	})
}

// renewRepositories adds to files the lock in which every stack's repositories are
// former ones and new ones take their place, with the seals for the hosts. It
// returns the stacks that have any.
func (c *Changes) renewRepositories(ctx context.Context, files map[string][]byte) ([]string, error) {
	lock := c.checkout.Lock
	var placed []string
	for _, st := range c.checkout.Fleet.Stacks {
		if _, is := lock.Placement(st.Name); is {
			lock = placement.Retire(lock, st.Name)
			placed = append(placed, st.Name)
		}
	}
	if len(placed) == 0 {
		return nil, nil
	}
	s := sealing.New(c.checkout, c.needs, c.confirmed, c.fleetKeys, maps.Clone(files))
	seals, lock, err := s.Seal(ctx, lock, placed, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, seals)
	files[lockfile.Name], err = lockfile.Encode(lock)
	return slices.DeleteFunc(placed, func(name string) bool { return len(lock.Stacks[name].Repositories) == 0 }), err
}
