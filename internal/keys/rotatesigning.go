package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secretnames"
	"salvor/internal/sign"
)

// PrepareRotateSigning proposes to replace the fleet's signing key so that no host is ever
// without one that it trusts: a new key is committed behind the old one, every host gets
// both, and only then the new one signs, and the old one is dropped. Interrupted, or
// while a host does not answer, the same again continues from there.
func (c *Changes) PrepareRotateSigning() proposal.Proposal[Receipt] {
	p := proposal.New("rotate the signing key", func(ctx context.Context, _ progress.Sink) (Receipt, error) {
		return Receipt{}, c.rotateSigning(ctx)
	})
	p.Question = "Replace the fleet's signing key? Cards printed before show the old one."
	return p
}

func (c *Changes) rotateSigning(ctx context.Context) error {
	trusted, err := c.confirmed.Trusted()
	if err != nil {
		return err
	}
	private, err := c.identity.Store.Resolve(ctx, secretnames.SignKey)
	if err != nil {
		return err
	}
	if len(trusted) == 1 {
		if trusted, private, err = c.addSigner(ctx, trusted, private); err != nil {
			return err
		}
	}
	if err := c.bringSigners(ctx, trusted); err != nil {
		return err
	}
	return c.signWith(ctx, trusted, private)
}

// addSigner commits a new key behind the one that signs.
func (c *Changes) addSigner(ctx context.Context, trusted sign.Keys, private secret.Value) (sign.Keys, secret.Value, error) {
	fresh, err := sign.NewKey(secretnames.SignKey)
	if err != nil {
		return nil, private, err
	}
	k, err := sign.ParseKey(fresh)
	if err != nil {
		return nil, private, err
	}
	both, kept := append(slices.Clone(trusted), k.Public()), secret.New(slices.Concat(private.Reveal(), fresh.Reveal()))
	return both, kept, c.commitSigners(ctx, both, kept, "key rotate --signing: new key, old key still signs", nil)
}

// commitSigners commits keys and their private halves with other files, and trusts
// them here: before the commit, since keys that Git does not have are forgotten, and
// the others asked for.
func (c *Changes) commitSigners(ctx context.Context, keys sign.Keys, private secret.Value, message string, others map[string][]byte) error {
	files, err := fleetkeys.KeptFiles(secretnames.SignKey, private, c.checkout.Fleet.Recipients.All())
	if err != nil {
		return err
	}
	maps.Copy(files, others)
	files[fleet.FleetSignersFile] = keys.Signers(c.checkout.Fleet.Name)
	if len(keys) == 1 {
		if err := c.exposed.NoteChanged(files, secretnames.SignKey); err != nil {
			return err
		}
	}
	if err := confirmation.Pin(c.checkout.Git, c.checkout.Fleet.Name, keys); err != nil {
		return err
	}
	return c.checkout.CommitFiles(ctx, files, message)
}

// bringSigners has every host trust the keys.
func (c *Changes) bringSigners(ctx context.Context, keys sign.Keys) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, h := range c.checkout.Fleet.Hosts {
		all.Go(func() error {
			link, err := c.reach.Dial(ctx, h)
			if err == nil {
				_, err = link.Enrol(ctx, c.checkout.Fleet.Name, keys)
			}
			if err != nil {
				return fault.WithHint(fmt.Errorf("%s does not trust the new key yet, so Salvor still signs with the old one: %w", h.Name, err),
					"run salvor key rotate --signing again once the host answers; if it is gone: salvor recover, or remove it from fleet.yaml")
			}
			return nil
		})
	}
	return all.Wait()
}

// resign signs the files on the record again, with a key that every host trusts by now.
func (c *Changes) resign(ctx context.Context, trusted sign.Keys, key sign.Key) error {
	if c.checkout.Fleet.Record.Remote == "" {
		return nil
	}
	return c.opts.Record(ctx, func(rec *record.Record) error {
		for _, stack := range slices.Sorted(maps.Keys(c.checkout.Lock.Stacks)) {
			if err := rec.Resign(ctx, stack, key); err != nil {
				return err
			}
		}
		return rec.ResignJournal(ctx, trusted, key)
	})
}

// resigned returns the signatures of what the keys have signed in Git, by another one.
// What they have not signed stays as it is, which is a finding.
func (c *Changes) resigned(trusted sign.Keys, key sign.Key) (map[string][]byte, error) {
	files := map[string][]byte{}
	if err := c.fleetKeys.ResignHosts(files, trusted, key); err != nil {
		return nil, err
	}
	sealed, err := fs.Glob(os.DirFS(c.checkout.Export), fleet.SealedDir+"/*/*.age")
	for _, file := range append(sealed, agekey.RecoveryPath) {
		if err != nil {
			return nil, err
		}
		var before, after seal.Signed
		if before, err = c.needs.Signed(file); err == nil {
			after, err = before.Resign(file, trusted, key)
		}
		switch {
		case errors.Is(err, sign.ErrUntrusted):
			err = nil
		case err == nil:
			files[seal.SignaturePath(file)] = after.Signature
		}
	}
	return files, err
}

// signWith signs everything again with the last of the keys and drops the others: it
// signs from now on.
func (c *Changes) signWith(ctx context.Context, trusted sign.Keys, private secret.Value) error {
	public := trusted[len(trusted)-1]
	for _, one := range sign.SplitKeys(private) {
		k, err := sign.ParseKey(one)
		if err != nil {
			return fmt.Errorf("secret %s: %w", secretnames.SignKey, err)
		}
		if k.Public() == public {
			if err := c.resign(ctx, trusted, k); err != nil {
				return err
			}
			files, err := c.resigned(trusted, k)
			if err != nil {
				return err
			}
			c.fleetKeys.SignWith(k) // the mirror of this commit, too
			return c.commitSigners(ctx, sign.Keys{public}, one, "key rotate --signing: old key removed", files)
		}
	}
	return fmt.Errorf("the secret %s does not contain the key %s of %s", secretnames.SignKey, public.Fingerprint(), fleet.FleetSignersFile)
}
