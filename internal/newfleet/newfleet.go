// Package newfleet makes a fleet: its control repository, and the keys that open it.
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
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/sign"
)

// A Fleet says what is made.
type Fleet struct {
	Dir        string
	Name       string
	Operator   string // name among the recipients
	Identity   string // where the operator's key goes, "" for the usual place
	Passphrase secret.Value
	Work       agekey.WorkFactor // of the identity's passphrase
	Signer     string            // the only public SSH key that signs commits, "" to take them unsigned
}

// Founded is a fleet that was made.
type Founded struct {
	Recovery agekey.Key // shown once, to be printed or written down
	Identity string     // the file of the operator's key
}

// Prepare proposes to make a control repository and the keys that open it: the
// operator's identity on this computer, and a recovery key. What is in the way is the
// error: nothing is overwritten, and git has to know who commits.
func Prepare(ctx context.Context, f Fleet) (proposal.Proposal[Founded], error) {
	file, err := identity.PathOf(f.Identity, f.Name)
	p := proposal.New("make the fleet "+f.Name, func(ctx context.Context, _ progress.Sink) (Founded, error) {
		return f.found(ctx, file)
	})
	if err != nil {
		return p, err
	}
	if err := free(f.Dir, file); err != nil {
		return p, err
	}
	return p, git.MayCommit(ctx, local.Machine{}, f.Dir, os.Environ())
}

func (f Fleet) found(ctx context.Context, file string) (_ Founded, err error) {
	operator, err := agekey.Generate()
	if err != nil {
		return Founded{}, err
	}
	recovery, err := agekey.Generate()
	if err != nil {
		return Founded{}, err
	}
	if err := agekey.Create(file, operator, f.Passphrase, f.Work); err != nil {
		return Founded{}, err
	}
	var made *git.Repository
	defer func() {
		if err != nil && made == nil { // nothing was encrypted to it, and it would be in the way of the next try
			err = errors.Join(err, os.Remove(file))
		}
	}()
	recipients := fleet.Recipients{Operators: map[string]string{f.Operator: operator.Recipient}, Recovery: recovery.Recipient}
	files, signer, err := keyFiles(f.Name, recipients, recovery, operator.Recipient)
	if err != nil {
		return Founded{}, err
	}
	made, err = begin(ctx, f.Dir, controlrepo.Beginning{Name: f.Name, Recipients: recipients, Files: files, Signer: f.Signer}, os.Environ())
	if err == nil {
		err = confirmation.Pin(made, f.Name, sign.Keys{signer.Public()})
	}
	return Founded{Recovery: recovery, Identity: file}, err
}

// keyFiles are the files of the fleet's own keys, and says with which of them the fleet
// signs.
func keyFiles(name string, recipients fleet.Recipients, recovery agekey.Key, operator string) (map[string][]byte, sign.Key, error) {
	all := recipients.All()
	files, _, err := fleetkeys.NewSSH(nil, secret.Value{}, all)
	if err != nil {
		return nil, sign.Key{}, err
	}
	signing, signer, err := fleetkeys.NewSigning(name, all)
	if err != nil {
		return nil, signer, err
	}
	sealed, err := seal.SealKey(recovery, signer, operator)
	if err != nil {
		return nil, signer, err
	}
	letIn := fleet.AuthorizedKeysFile
	if files[hostkey.SignaturePath(letIn)], err = hostkey.Sign(letIn, files[letIn], signer); err != nil {
		return nil, signer, err
	}
	maps.Copy(files, signing)
	maps.Copy(files, sealed.Files(agekey.RecoveryPath))
	files[sops.ConfigPath], err = sops.Config(all)
	return files, signer, err
}

// readme is what a new repository of a Git host often has.
const readme = "README.md"

// begin makes dir a control repository with its first commit.
func begin(ctx context.Context, dir string, b controlrepo.Beginning, environ []string) (*git.Repository, error) {
	files, message, err := b.Commit()
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(filepath.Join(dir, readme)); err == nil {
		delete(files, readme) // the repository has one already
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
		if name := e.Name(); !slices.Contains([]string{".git", ".gitattributes", "LICENSE", readme}, name) {
			others = append(others, name)
		}
	}
	if len(others) > 3 {
		others = append(others[:3], "…")
	}
	return others, err
}

// GitRemote returns the URL of the remote that the repository at dir has already, "" for
// none.
func GitRemote(ctx context.Context, dir string) string {
	clone, err := git.Open(ctx, local.Machine{}, dir, os.Environ())
	if err != nil {
		return "" // it is made
	}
	up, err := clone.Upstream(ctx)
	if err != nil {
		return ""
	}
	address, err := clone.URL(ctx, up.Remote)
	if err != nil {
		return ""
	}
	return address
}

// PreCommit returns the hook that Git runs before a commit in the repository at dir.
func PreCommit(ctx context.Context, dir string) (git.Hook, error) {
	clone, err := git.Open(ctx, local.Machine{}, dir, os.Environ())
	if err != nil {
		return git.Hook{}, err
	}
	return clone.PreCommit(ctx)
}
