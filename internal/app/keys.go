package app

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// A keyChange is a change of whom the fleet is encrypted to.
type keyChange struct {
	message     string
	next        fleet.Recipients
	newRecovery bool                 // next gets another recovery key
	removed     *secretstore.Removal // who must open nothing that comes; nil when nobody is removed
}

// A Handover is what a change of keys leaves for people to do.
type Handover struct {
	Stacks []string   // that write their snapshots to new repositories
	Rotate []Rotation // secrets that need another value
	OwnToo bool       // the identity at hand has the removed key beside another
}

// changeKeys makes a change in one commit: fleet.yaml, .sops.yaml, and everything
// that the operators can open, encrypted to the next recipients alone. It needs an
// identity that opens what there is. Afterwards a has the next recipients, and
// opens with the next recovery key as well.
func (a *App) changeKeys(ctx context.Context, c keyChange) (Handover, error) {
	var h Handover
	if err := a.mayChangeKeys(ctx, c); err != nil {
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
	a.Checkout.Fleet.Recipients = c.next
	a.Identity.Use(identity.Keyrings{a.Identity.Ring, recovery})
	files := map[string][]byte{fleet.File: declared}
	if err := a.encryptAll(ctx, recovery, files); err != nil {
		return h, err
	}
	if c.removed != nil {
		if h.Stacks, err = a.renewRepositories(ctx, files); err != nil {
			return h, err
		}
		if h.Rotate, err = a.noteRemoval(*c.removed, files); err != nil {
			return h, err
		}
	}
	return h, a.commitKeys(ctx, c, files)
}

// recoveryFor returns the recovery key after the change, a new one if it is to be
// replaced.
func (a *App) recoveryFor(ctx context.Context, c *keyChange) (agekey.Key, error) {
	if !c.newRecovery {
		return a.Recovery(ctx)
	}
	key, err := agekey.Generate()
	c.next.Recovery = key.Recipient
	return key, err
}

// declareRecipients returns fleet.yaml with other recipients.
func (a *App) declareRecipients(next fleet.Recipients) ([]byte, error) {
	content, err := a.Checkout.File(fleet.File)
	if err != nil {
		return nil, err
	}
	was := a.Checkout.Fleet.Recipients
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
func (a *App) encryptAll(ctx context.Context, recovery agekey.Key, files map[string][]byte) error {
	recipients := a.Checkout.Fleet.Recipients
	key, err := a.SigningKey(ctx)
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
	changes, err := a.Identity.Store.Writer().Reencrypt()
	if err != nil {
		return err
	}
	maps.Copy(files, changes)
	return a.eachRecovery(func(stack string, sealed seal.Signed) error {
		if sealed.RecoveryCurrent(stack, recipients.All(), sign.Keys{key.Public()}) == nil {
			return nil
		}
		opened, err := a.openRecovery(ctx, stack, sealed)
		if err == nil {
			sealed, err = opened.Seal(recipients.All(), key)
			maps.Copy(files, sealed.Files(seal.RecoveryPath(stack)))
		}
		return err
	})
}

// eachRecovery visits sealed/recovery, also the files of stacks that are declared
// no longer.
func (a *App) eachRecovery(visit func(stack string, sealed seal.Signed) error) error {
	entries, err := os.ReadDir(filepath.Join(a.Checkout.Export, "sealed", "recovery"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		stack, ours := strings.CutSuffix(e.Name(), ".age")
		if !ours {
			continue
		}
		sealed, err := (&sealer{app: a}).signed(seal.RecoveryPath(stack))
		if err == nil {
			err = visit(stack, sealed)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// renewRepositories adds to files the lock in which every stack's repositories are
// former ones and new ones take their place, with the seals for the hosts. It
// returns the stacks that have any.
func (a *App) renewRepositories(ctx context.Context, files map[string][]byte) ([]string, error) {
	lock := a.Checkout.Lock
	var placed []string
	for _, st := range a.Checkout.Fleet.Stacks {
		if _, is := lock.Placement(st.Name); is {
			lock = placement.Retire(lock, st.Name)
			placed = append(placed, st.Name)
		}
	}
	if len(placed) == 0 {
		return nil, nil
	}
	s := &sealer{app: a, made: maps.Clone(files)}
	seals, lock, err := s.Seal(ctx, lock, placed, nil)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, seals)
	files[lockfile.Name], err = lockfile.Encode(lock)
	return slices.DeleteFunc(placed, func(name string) bool { return len(lock.Stacks[name].Repositories) == 0 }), err
}
