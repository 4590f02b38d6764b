package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/secretstore"
)

// NewKey makes an identity for an operator of this fleet, protected by the
// passphrase, and returns its recipient and where it lies. Nothing is
// overwritten: the error is then fs.ErrExist.
func (a *App) NewKey(passphrase secret.Value) (recipient, path string, err error) {
	if path, err = identityPath(a.opts.Identity, a.repo.Fleet.Name); err != nil {
		return "", "", err
	}
	key, err := agekey.Generate()
	if err == nil {
		err = agekey.Create(path, key, passphrase)
	}
	return key.Recipient, path, err
}

// Grant makes an age recipient an operator, in one commit: everything that the
// operators can open is encrypted to them as well. A name that is taken by
// another recipient is an error; the same again re-encrypts what was left out.
func (a *App) Grant(ctx context.Context, name, recipient string) error {
	old := a.repo.Fleet.Recipients
	if has, taken := old.Operators[name]; taken && has != recipient {
		return fault.WithHint(fmt.Errorf("%s is an operator with another key already", name), "choose another name: alice-laptop")
	}
	declared, err := a.file(controlrepo.FleetFile)
	if err != nil {
		return err
	}
	if declared, err = controlrepo.AddRecipient(declared, name, recipient); err != nil {
		return fault.WithHint(err, "salvor key new prints a recipient; so does age-keygen -y FILE")
	}
	next := fleet.Recipients{Operators: maps.Clone(old.Operators), Recovery: old.Recovery}
	if next.Operators == nil {
		next.Operators = map[string]string{}
	}
	next.Operators[name] = recipient
	files := map[string][]byte{controlrepo.FleetFile: declared}
	if err := a.encryptTo(next, files); err != nil {
		return err
	}
	return a.CommitFiles(ctx, files, "operator "+name+": may open everything")
}

// encryptTo adds to files whatever is not encrypted to exactly these recipients.
func (a *App) encryptTo(next fleet.Recipients, files map[string][]byte) error {
	var err error
	if files[sops.ConfigPath], err = sops.Config(next.All()); err != nil {
		return err
	}
	recovery, err := a.Recovery()
	if err != nil {
		return err
	}
	if files[agekey.RecoveryPath], err = agekey.SealRecovery(recovery, slices.Sorted(maps.Values(next.Operators))...); err != nil {
		return err
	}
	store := secretstore.New(secretstore.Options{Files: os.DirFS(a.export), Keys: a.ring, Recipients: next.All()})
	changes, err := store.Reencrypt()
	if err != nil {
		return err
	}
	maps.Copy(files, changes)
	return a.reencryptRecovery(next.All(), files)
}

func (a *App) reencryptRecovery(recipients []string, files map[string][]byte) error {
	dir := filepath.Join(a.export, "sealed", "recovery")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		stack, ours := strings.CutSuffix(e.Name(), ".age")
		if !ours {
			continue
		}
		sealed, err := a.file(seal.RecoveryPath(stack))
		if err != nil {
			return err
		}
		if seal.RecoveryCurrent(sealed, stack, recipients) {
			continue
		}
		opened, err := seal.OpenRecovery(sealed, a.ring, stack)
		if err != nil {
			return err
		}
		if files[seal.RecoveryPath(stack)], err = opened.Seal(recipients); err != nil {
			return err
		}
	}
	return err
}
