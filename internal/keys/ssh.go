package keys

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
	"salvor/internal/fleetkeys"
	"salvor/internal/machine/ssh"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// An SSHKey is the fleet's public SSH key after a change.
type SSHKey struct {
	Line    string // for authorized_keys
	Retired bool   // hosts accept the key before it, too, until it is rotated once more
}

// SSHKey returns the fleet's public SSH key, a line for authorized_keys; "" where the
// fleet has none yet. Hosts accept it from the next apply on; its private key is a secret,
// so that anyone who can decrypt the repository can log in to every host.
func (c *Changes) SSHKey() string { return reach.Marked(c.checkout.LetIn, reach.SSHKeyComment) }

// PrepareSSHKey proposes to make the SSH key of a fleet that has none, in a commit.
func (c *Changes) PrepareSSHKey() proposal.Proposal[SSHKey] {
	return proposal.New("make the fleet's SSH key", func(ctx context.Context, _ progress.Sink) (SSHKey, error) {
		if err := c.confirmed.MayEncrypt(ctx); err != nil {
			return SSHKey{}, err
		}
		before, err := c.authorizedKeys()
		if err != nil {
			return SSHKey{}, err
		}
		files, line, err := NewSSHKey(before, secret.Value{}, c.checkout.Fleet.Recipients.All())
		if err != nil {
			return SSHKey{}, err
		}
		return SSHKey{Line: line}, c.checkout.CommitFiles(ctx, files, "key ssh: first key")
	})
}

// PrepareRotateSSHKey proposes one of the two steps that replace the fleet's SSH key, so
// that no host is ever out of reach: the first commits a new key next to the old one, and
// apply delivers it to the hosts. The second proves that every host accepts the new key,
// and removes the old one.
func (c *Changes) PrepareRotateSSHKey() (proposal.Proposal[SSHKey], error) {
	current, old := c.SSHKey(), reach.Marked(c.checkout.LetIn, reach.OldSSHKeyComment)
	p := proposal.New("rotate the fleet's SSH key", func(ctx context.Context, _ progress.Sink) (SSHKey, error) {
		if err := c.confirmed.MayEncrypt(ctx); err != nil {
			return SSHKey{}, err
		}
		before, err := c.authorizedKeys()
		if err != nil {
			return SSHKey{}, err
		}
		private, err := c.identity.Store.Resolve(ctx, reach.SSHKeyName)
		if err != nil {
			return SSHKey{}, err
		}
		if old == "" {
			return c.addSSHKey(ctx, current, before, private)
		}
		return SSHKey{Line: current}, c.dropSSHKey(ctx, current, strings.Replace(string(before), old+"\n", "", 1), private)
	})
	if current == "" {
		return p, fault.WithHint(errors.New("the fleet has no SSH key yet"), "salvor key ssh creates it")
	}
	return p, nil
}

// addSSHKey commits a new key next to the current one, which hosts still accept.
func (c *Changes) addSSHKey(ctx context.Context, current string, authorized []byte, private secret.Value) (SSHKey, error) {
	retired := strings.Replace(string(authorized), current, strings.TrimSuffix(current, reach.SSHKeyComment)+reach.OldSSHKeyComment, 1)
	files, line, err := NewSSHKey([]byte(retired), private, c.checkout.Fleet.Recipients.All())
	if err != nil {
		return SSHKey{}, err
	}
	return SSHKey{Line: line, Retired: true}, c.checkout.CommitFiles(ctx, files, "key ssh: new key, old key still accepted")
}

// dropSSHKey commits that only the current key is accepted, once every host accepts it.
func (c *Changes) dropSSHKey(ctx context.Context, current, authorized string, private secret.Value) error {
	if err := c.proveSSHKey(ctx, current); err != nil {
		return err
	}
	both := sign.SplitKeys(private)
	if len(both) == 0 {
		return fmt.Errorf("the secret %s is not a private key", reach.SSHKeyName)
	}
	files, err := sshKeyFiles(authorized, both[0], c.checkout.Fleet.Recipients.All())
	if err != nil {
		return err
	}
	if err := c.exposed.NoteChanged(files, reach.SSHKeyName); err != nil {
		return err
	}
	return c.checkout.CommitFiles(ctx, files, "key ssh: old key removed")
}

// proveSSHKey logs in to every host with this key alone.
func (c *Changes) proveSSHKey(ctx context.Context, line string) error {
	all, ctx := errgroup.WithContext(ctx)
	for _, h := range c.checkout.Fleet.Hosts {
		all.Go(func() error {
			m, err := ssh.Dial(ctx, c.reach.SSHOptions(h, ssh.Auth{Kept: []ssh.KeptKey{c.reach.KeptKey(line)}}))
			if err != nil {
				return fault.WithHint(fmt.Errorf("%s does not accept the new key yet: %w", h.Name, err), "salvor apply "+
					"delivers it; if the host is gone: salvor recover, or remove it from fleet.yaml")
			}
			return m.Close()
		})
	}
	return all.Wait()
}

func (c *Changes) authorizedKeys() ([]byte, error) {
	content, err := c.checkout.File(fleet.AuthorizedKeysFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// NewSSHKey makes a key: encrypted before those that are there, its line behind
// theirs.
func NewSSHKey(authorized []byte, others secret.Value, recipients []string) (files map[string][]byte, line string, err error) {
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
	files, err := fleetkeys.KeptFiles(reach.SSHKeyName, private, recipients)
	if err == nil {
		files[fleet.AuthorizedKeysFile] = []byte(authorized)
	}
	return files, err
}
