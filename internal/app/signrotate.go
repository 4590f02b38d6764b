package app

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/recovery"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// RotateSigningKey replaces the fleet's signing key so that no host is ever without
// one that it trusts: a new key is committed behind the old one, every host gets
// both, and only then the new one signs, and the old one is dropped. Cut short, or
// while a host does not answer, the same again goes on from there.
func (a *App) RotateSigningKey(ctx context.Context) error {
	trusted, err := a.Trusted(ctx)
	if err != nil {
		return err
	}
	private, err := a.store.Resolve(ctx, signKeyName)
	if err != nil {
		return err
	}
	if len(trusted) == 1 {
		if trusted, private, err = a.addSigner(ctx, trusted, private); err != nil {
			return err
		}
	}
	if err := a.bringSigners(ctx, trusted); err != nil {
		return err
	}
	return a.signWith(ctx, trusted[len(trusted)-1], private)
}

// addSigner commits a new key behind the one that signs.
func (a *App) addSigner(ctx context.Context, trusted sign.Keys, private secret.Value) (sign.Keys, secret.Value, error) {
	fresh, err := sign.NewKey(signKeyName)
	if err != nil {
		return nil, private, err
	}
	k, err := sign.ParseKey(fresh)
	if err != nil {
		return nil, private, err
	}
	both, kept := append(slices.Clone(trusted), k.Public()), secret.New(slices.Concat(private.Reveal(), fresh.Reveal()))
	return both, kept, a.commitSigners(ctx, both, kept, "The fleet's signing key: a new one, behind the old")
}

// commitSigners commits keys and their private halves, and trusts them here: before
// the commit, since keys that Git does not have are forgotten, and the others asked for.
func (a *App) commitSigners(ctx context.Context, keys sign.Keys, private secret.Value, message string) error {
	files, err := keptKeyFiles(signKeyName, private, a.repo.Fleet.Recipients.All())
	if err != nil {
		return err
	}
	files[controlrepo.FleetSignersFile] = keys.Signers(a.repo.Fleet.Name)
	if len(keys) == 1 {
		if err := a.forgetSeen(files, signKeyName); err != nil {
			return err
		}
	}
	if err := writePin(ctx, a.git, a.repo.Fleet.Name, keys); err != nil {
		return err
	}
	return a.CommitFiles(ctx, files, message)
}

// bringSigners has every host trust the keys.
func (a *App) bringSigners(ctx context.Context, keys sign.Keys) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, h := range a.repo.Fleet.Hosts {
		all.Go(func() error {
			link, err := a.hosts.Dial(ctx, h)
			if err == nil {
				_, err = recovery.Enrol(ctx, link, a.repo.Fleet.Name, keys)
			}
			if err != nil {
				return fault.WithHint(fmt.Errorf("%s does not trust the new key yet, so the old one still signs: %w", h.Name, err),
					"salvor key rotate --signing again, once it answers; a host that is gone: salvor recover, or take it out of fleet.yaml")
			}
			return nil
		})
	}
	return all.Wait()
}

// signWith drops all keys but one, which signs from here on.
func (a *App) signWith(ctx context.Context, public sign.Public, private secret.Value) error {
	for _, one := range splitKeys(private) {
		k, err := sign.ParseKey(one)
		if err != nil {
			return fmt.Errorf("secret %s: %w", signKeyName, err)
		}
		if k.Public() == public {
			return a.commitSigners(ctx, sign.Keys{public}, one, "The fleet's signing key: the old one counts no more")
		}
	}
	return fmt.Errorf("the secret %s does not have the key %s of %s", signKeyName, public.Fingerprint(), controlrepo.FleetSignersFile)
}
