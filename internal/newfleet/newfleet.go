// Package newfleet makes a control repository with its first commit, and the keys that open
// it.
package newfleet

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

	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/git"
	"salvor/internal/hostkey"
	"salvor/internal/identity"
	"salvor/internal/keys"
	"salvor/internal/machine/local"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/sign"
)

// Options say what salvor init makes.
type Options struct {
	Dir        string
	Name       string
	Operator   string // name among the recipients
	Identity   string // where the operator's key goes, "" for the usual place
	Passphrase secret.Value
	Work       agekey.WorkFactor // of the identity's passphrase
	Signer     string            // the only public SSH key that signs commits, "" to take them unsigned
}

// Make makes a control repository and the keys that open it: the operator's
// identity on this machine, and a recovery key that is returned once, to be
// printed or written down. Nothing is overwritten.
func Make(ctx context.Context, n Options) (recovery agekey.Key, keyFile string, err error) {
	operator, err := agekey.Generate()
	if err != nil {
		return recovery, "", err
	}
	if recovery, err = agekey.Generate(); err != nil {
		return recovery, "", err
	}
	if keyFile, err = identity.PathOf(n.Identity, n.Name); err != nil {
		return recovery, "", err
	}
	if err := free(n.Dir, keyFile); err != nil {
		return recovery, keyFile, err
	}
	if err := agekey.Create(keyFile, operator, n.Passphrase, n.Work); err != nil {
		return recovery, keyFile, err
	}
	var made *git.Repository
	defer func() {
		if err != nil && made == nil { // nothing was encrypted to it, and it would be in the way of the next try
			err = errors.Join(err, os.Remove(keyFile))
		}
	}()
	recipients := fleet.Recipients{Operators: map[string]string{n.Operator: operator.Recipient}, Recovery: recovery.Recipient}
	config, err := sops.Config(recipients.All())
	if err != nil {
		return recovery, keyFile, err
	}
	files, _, err := keys.NewSSHKey(nil, secret.Value{}, recipients.All())
	if err != nil {
		return recovery, keyFile, err
	}
	signing, signer, err := fleetkeys.NewSigning(n.Name, recipients.All())
	if err != nil {
		return recovery, keyFile, err
	}
	sealed, err := seal.SealKey(recovery, signer, operator.Recipient)
	if err != nil {
		return recovery, keyFile, err
	}
	letIn := fleet.AuthorizedKeysFile
	if files[hostkey.SignaturePath(letIn)], err = hostkey.Sign(letIn, files[letIn], signer); err != nil {
		return recovery, keyFile, err
	}
	maps.Copy(files, signing)
	maps.Copy(files, sealed.Files(agekey.RecoveryPath))
	files[sops.ConfigPath] = config
	made, err = begin(ctx, n.Dir, controlrepo.Beginning{Name: n.Name, Recipients: recipients, Files: files, Signer: n.Signer}, os.Environ())
	if err == nil {
		err = confirmation.Pin(ctx, made, n.Name, sign.Keys{signer.Public()})
	}
	return recovery, keyFile, err
}

// begin makes dir a control repository with its first commit.
func begin(ctx context.Context, dir string, b controlrepo.Beginning, environ []string) (*git.Repository, error) {
	files, message, err := b.Commit()
	if err != nil {
		return nil, err
	}
	made, _, err := git.Init(ctx, local.Machine{}, dir, git.First{Files: files, Message: message, Signers: b.Signers()}, environ)
	return made, err
}

// SigningKey returns the public SSH key that the operator's git signs with, and
// whether it signs every commit; see git.SigningKey.
func SigningKey(ctx context.Context) (key string, always bool, err error) {
	return git.SigningKey(ctx, local.Machine{}, os.Environ())
}

// free returns what is in the way of a new fleet before anything is made.
func free(dir, identity string) error {
	declared := filepath.Join(dir, fleet.File)
	if _, err := os.Lstat(declared); err == nil {
		return fault.WithHint(fmt.Errorf("%s: %w", declared, git.ErrExists), "choose an empty folder; this one is a control repository")
	}
	if others, err := otherFiles(dir); err != nil {
		return err
	} else if len(others) > 0 {
		return fault.WithHint(fmt.Errorf("%s is not empty: it holds %s", dir, strings.Join(others, ", ")), "choose an empty folder, or a new Git repository")
	}
	if _, err := os.Lstat(identity); err == nil {
		return fault.WithHint(fmt.Errorf("your key %s: %w", identity, git.ErrExists), "salvor init DIR --name OTHER, or --identity FILE for a key elsewhere")
	}
	return nil
}

// otherFiles returns what a folder has in addition to the files of a new Git
// repository, three names at most.
func otherFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var others []string
	for _, e := range entries {
		if name := e.Name(); !slices.Contains([]string{".git", ".gitattributes", "LICENSE"}, name) {
			others = append(others, name)
		}
	}
	if len(others) > 3 {
		others = append(others[:3], "…")
	}
	return others, err
}
