package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

// SSHKey returns the fleet's public SSH key, a line for authorized_keys. Hosts accept
// it from the next apply on; its private key is a secret, so that anyone who can
// decrypt the repository can log in to every host. A fleet without one gets one, in a
// commit: made reports that.
func (a *KeyChanges) SSHKey(ctx context.Context) (line string, made bool, err error) {
	if line = reach.Marked(a.checkout.LetIn, reach.SSHKeyComment); line != "" {
		return line, false, nil
	}
	if err := a.confirmed.MayEncrypt(ctx); err != nil {
		return "", false, err
	}
	before, err := a.authorizedKeys()
	if err != nil {
		return "", false, err
	}
	files, line, err := newSSHKey(before, secret.Value{}, a.checkout.Fleet.Recipients.All())
	if err != nil {
		return "", false, err
	}
	return line, true, a.checkout.CommitFiles(ctx, files, "key ssh: first key")
}

// RotateSSHKey replaces the fleet's SSH key in two steps, so that no host is ever out
// of reach: the first commits a new key next to the old one, and apply delivers it to
// the hosts. The second, done is then true, proves that every host accepts the new
// key, and removes the old one.
func (a *KeyChanges) RotateSSHKey(ctx context.Context) (done bool, err error) {
	current, old := reach.Marked(a.checkout.LetIn, reach.SSHKeyComment), reach.Marked(a.checkout.LetIn, reach.OldSSHKeyComment)
	if current == "" {
		return false, fault.WithHint(errors.New("the fleet has no SSH key yet"), "salvor key ssh creates it")
	}
	if err := a.confirmed.MayEncrypt(ctx); err != nil {
		return false, err
	}
	before, err := a.authorizedKeys()
	if err != nil {
		return false, err
	}
	private, err := a.identity.Store.Resolve(ctx, reach.SSHKeyName)
	if err != nil {
		return false, err
	}
	if old == "" {
		retired := strings.Replace(string(before), current, strings.TrimSuffix(current, reach.SSHKeyComment)+reach.OldSSHKeyComment, 1)
		files, _, err := newSSHKey([]byte(retired), private, a.checkout.Fleet.Recipients.All())
		if err != nil {
			return false, err
		}
		return false, a.checkout.CommitFiles(ctx, files, "key ssh: new key, old key still accepted")
	}
	if err := a.proveSSHKey(ctx, current); err != nil {
		return false, err
	}
	both := splitKeys(private)
	if len(both) == 0 {
		return false, fmt.Errorf("the secret %s is not a private key", reach.SSHKeyName)
	}
	files, err := sshKeyFiles(strings.Replace(string(before), old+"\n", "", 1), both[0], a.checkout.Fleet.Recipients.All())
	if err != nil {
		return false, err
	}
	if err := a.exposed.NoteChanged(files, reach.SSHKeyName); err != nil {
		return false, err
	}
	return true, a.checkout.CommitFiles(ctx, files, "key ssh: old key removed")
}

// proveSSHKey logs in to every host with this key alone.
func (a *KeyChanges) proveSSHKey(ctx context.Context, line string) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, h := range a.checkout.Fleet.Hosts {
		all.Go(func() error {
			m, err := ssh.Dial(ctx, a.reach.SSHOptions(h, ssh.Auth{Kept: []ssh.KeptKey{a.reach.KeptKey(line)}}))
			if err != nil {
				return fault.WithHint(fmt.Errorf("%s does not accept the new key yet: %w", h.Name, err), "salvor apply "+
					"delivers it; if the host is gone: salvor recover, or remove it from fleet.yaml")
			}
			return m.Close()
		})
	}
	return all.Wait()
}

func (a *KeyChanges) authorizedKeys() ([]byte, error) {
	content, err := a.checkout.File(fleet.AuthorizedKeysFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// newSSHKey makes a key: encrypted before those that are there, its line behind
// theirs.
func newSSHKey(authorized []byte, others secret.Value, recipients []string) (files map[string][]byte, line string, err error) {
	private, line, err := ssh.NewKey(reach.SSHKeyComment)
	if err != nil {
		return nil, "", err
	}
	text := string(authorized)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	files, err = sshKeyFiles(text+line+"\n", secret.New(slices.Concat(private.Reveal(), others.Reveal())), recipients)
	return files, line, err
}

func sshKeyFiles(authorized string, private secret.Value, recipients []string) (map[string][]byte, error) {
	files, err := keptKeyFiles(reach.SSHKeyName, private, recipients)
	if err == nil {
		files[fleet.AuthorizedKeysFile] = []byte(authorized)
	}
	return files, err
}
