package app

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
	"salvor/internal/recording"
	"salvor/internal/seal"
	"salvor/internal/sealing"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// KeyOptions say with which files and for whom keys are changed.
type KeyOptions struct {
	Identity string            // the operator's identity file, "" for the usual place
	Work     agekey.WorkFactor // of the passphrases of new identities
	// Again opens the newest commit once more, for a look at what this command has made
	// of it. The caller closes it.
	Again func(context.Context) (k *KeyChanges, closes func() error, err error)
}

// KeyChanges change who opens the fleet, and the keys that are its own.
type KeyChanges struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	fleetKeys *fleetkeys.Keys
	exposed   *exposed.Secrets
	record    *recording.Recorder
	reach     *reach.Dialer
	opts      KeyOptions
}

// NewKeyChanges returns those of a checkout's fleet.
func NewKeyChanges(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, f *fleetkeys.Keys, s *exposed.Secrets, r *recording.Recorder, d *reach.Dialer, o KeyOptions) *KeyChanges {
	return &KeyChanges{checkout: c, identity: id, needs: n, confirmed: confirmed, fleetKeys: f, exposed: s, record: r, reach: d, opts: o}
}

// A keyChange is a change of whom the fleet is encrypted to.
type keyChange struct {
	message     string
	next        fleet.Recipients
	newRecovery bool                 // next gets another recovery key
	removed     *secretstore.Removal // who must not open anything new; nil when no one is removed
}

// A KeysReceipt is what a change of keys leaves for people to do.
type KeysReceipt struct {
	Stacks  []string         // that write their snapshots to new repositories
	Exposed []exposed.Secret // secrets that need another value
	OwnToo  bool             // the present identity has the removed key in addition to another
}

// changeKeys makes a change in one commit: fleet.yaml, .sops.yaml, and everything
// that the operators can open, encrypted to the next recipients alone. It needs an
// identity that opens what there is. Afterwards a has the next recipients, and
// opens with the next recovery key as well.
func (a *KeyChanges) changeKeys(ctx context.Context, c keyChange) (KeysReceipt, error) {
	var h KeysReceipt
	if err := a.confirmed.MayChangeKeys(ctx, c.next, c.removed != nil); err != nil {
		return h, err
	}
	recovery, err := a.recoveryFor(ctx, &c)
	if err != nil {
		return h, err
	}
	declared, err := a.declareRecipients(c.next)
	if err != nil {
		return h, err
	}
	a.checkout.Fleet.Recipients = c.next
	a.identity.Use(identity.Keyrings{a.identity.Ring, recovery})
	files := map[string][]byte{fleet.File: declared}
	if err := a.encryptAll(ctx, recovery, files); err != nil {
		return h, err
	}
	if c.removed != nil {
		if h.Stacks, err = a.renewRepositories(ctx, files); err != nil {
			return h, err
		}
		if h.Exposed, err = a.exposed.NoteRemoval(*c.removed, files); err != nil {
			return h, err
		}
	}
	return h, a.commitKeys(ctx, c, files)
}

// recoveryFor returns the recovery key after the change, a new one if it is to be
// replaced.
func (a *KeyChanges) recoveryFor(ctx context.Context, c *keyChange) (agekey.Key, error) {
	if !c.newRecovery {
		return a.fleetKeys.Recovery(ctx)
	}
	key, err := agekey.Generate()
	c.next.Recovery = key.Recipient
	return key, err
}

// declareRecipients returns fleet.yaml with other recipients.
func (a *KeyChanges) declareRecipients(next fleet.Recipients) ([]byte, error) {
	content, err := a.checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	was := a.checkout.Fleet.Recipients
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
func (a *KeyChanges) encryptAll(ctx context.Context, recovery agekey.Key, files map[string][]byte) error {
	recipients := a.checkout.Fleet.Recipients
	key, err := a.fleetKeys.SigningKey(ctx)
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
	changes, err := a.identity.Store.Writer().Reencrypt()
	if err != nil {
		return err
	}
	maps.Copy(files, changes)
	return a.needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		if sealed.RecoveryCurrent(stack, recipients.All(), sign.Keys{key.Public()}) == nil {
			return nil
		}
		opened, err := a.fleetKeys.OpenRecovery(ctx, stack, sealed)
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
func (a *KeyChanges) renewRepositories(ctx context.Context, files map[string][]byte) ([]string, error) {
	lock := a.checkout.Lock
	var placed []string
	for _, st := range a.checkout.Fleet.Stacks {
		if _, is := lock.Placement(st.Name); is {
			lock = placement.Retire(lock, st.Name)
			placed = append(placed, st.Name)
		}
	}
	if len(placed) == 0 {
		return nil, nil
	}
	s := sealing.New(a.checkout, a.needs, a.confirmed, a.fleetKeys, maps.Clone(files))
	seals, lock, err := s.Seal(ctx, lock, placed, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, seals)
	files[lockfile.Name], err = lockfile.Encode(lock)
	return slices.DeleteFunc(placed, func(name string) bool { return len(lock.Stacks[name].Repositories) == 0 }), err
}
