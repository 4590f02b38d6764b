// Package identity opens the secrets of a fleet with the operator's keys.
package identity

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/user"
	"slices"
	"sync"

	"filippo.io/age"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/keyagent"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/command"
	"salvor/internal/secretstore"
)

// Options say whose identity it is, and how its holder is asked.
type Options struct {
	Identity   string                                             // the identity's file, "" for the usual place
	Agents     keyagent.Folder                                    // asked first for the identity, "" for none
	Passphrase func(path string, wrong int) (secret.Value, error) // see agekey.FileOptions
	Say        func(format string, v ...any)                      // shows what an age plugin says; nil refuses plugins
	Ask        func(ask func())                                   // gives what it runs the terminal to itself
	Terminal   *os.File                                           // what programs that print secrets may ask at, nil for nothing
	Prompts    io.Writer                                          // gets what those programs write to standard error, nil for no one
	Printed    *command.Memory                                    // of what those programs printed in this run; nil for a new one
	Sink       progress.Sink

	// Allow is asked before a program prints a secret; it returns the folder to run it in.
	Allow func(name string, argv []string) (dir string, err error)
}

// An Identity is the operator's, for one fleet: its keys, and the secrets that they open.
type Identity struct {
	checkout *checkout.Checkout
	opts     Options
	Ring     agekey.Keyring
	Store    *secretstore.Store
	Trail    *Trail
	warned   sync.Map // vault ids whose password was called weak
}

// New returns the identity that o names. Nothing is opened before it is needed.
func New(c *checkout.Checkout, o Options) *Identity {
	id := &Identity{checkout: c, opts: o, Trail: &Trail{}}
	id.Use(id.keyring())
	return id
}

// At returns the same identity for another commit of the fleet.
func (id *Identity) At(c *checkout.Checkout) *Identity {
	other := &Identity{checkout: c, opts: id.opts, Trail: &Trail{}}
	other.Use(id.Ring)
	return other
}

// lazyKeyring opens the identity at the first use and keeps its keys: those that an agent
// holds, or else the identity file, for which someone may be asked. What failed
// is not tried again: someone who does not know the passphrase is asked for it once in a
// command, not once for each secret.
type lazyKeyring struct {
	open func() (agekey.Keyring, error)
	held func() (agekey.Keyring, bool) // asks no one

	mu  sync.Mutex // guards what follows
	ids []age.Identity
	err error
}

// Identities implements agekey.Keyring.
func (k *lazyKeyring) Identities() ([]age.Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ids != nil || k.err != nil || k.takeHeld() {
		return k.ids, k.err
	}
	ring, err := k.open()
	if err == nil {
		k.ids, err = ring.Identities()
	}
	k.err = err
	return k.ids, err
}

// takeHeld takes what an agent holds.
func (k *lazyKeyring) takeHeld() bool {
	if ring, is := k.held(); is {
		k.ids, k.err = ring.Identities()
	}
	return k.ids != nil
}

// opened reports whether the identity is open, or an agent has it.
func (k *lazyKeyring) opened() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ids != nil || k.err == nil && k.takeHeld()
}

// Unlocked reports whether the operator's keys are in use without asking anyone.
func (id *Identity) Unlocked() bool {
	lazy, isLazy := id.Ring.(*lazyKeyring)
	return !isLazy || lazy.opened()
}

// Unlock begins to open the operator's identity, which is a second of work. It is for
// callers whose passphrase comes from no person, who might be asked something else at
// the same time. An error is reported by the code that needs the identity.
func (id *Identity) Unlock() {
	go func() { _, _ = id.Ring.Identities() }()
}

// PathOf is where an operator's identity is: given, or the usual place.
func PathOf(given, fleet string) (string, error) {
	if given != "" {
		return given, nil
	}
	dir, err := os.UserConfigDir()
	return agekey.Path(dir, fleet), err
}

// Use opens secrets with other keys from now on, for the fleet's recipients as they
// are now. Programs that print secrets run in the operator's own environment.
func (id *Identity) Use(ring agekey.Keyring) {
	id.Ring = ring
	id.Store = secretstore.New(secretstore.Options{
		Files: os.DirFS(id.checkout.Export), Keys: ring, Recipients: id.checkout.Fleet.Recipients.All(),
		Vaults: id.checkout.Fleet.Vaults, Token: id.checkout.Fleet.Git.Token, Weak: id.WarnOfWeak, Secrets: id.checkout.Fleet.Secrets, Kept: id.kept(), Opened: id.Trail.Add,
		Run: command.Options{
			Run: asking{local.Machine{Inherit: true, Terminal: id.opts.Terminal}, id.opts.Ask}, Prompts: id.opts.Prompts, Memory: id.opts.Printed, Allow: id.opts.Allow,
		},
	})
}

// kept are the keys that are delivered nowhere: those of people and of hosts, and
// those that sign.
func (id *Identity) kept() secretstore.Kept {
	k := secretstore.Kept{Identities: slices.Collect(maps.Values(id.checkout.Recipients)), SSH: slices.Clone(id.checkout.LetIn)}
	for _, signer := range slices.Concat(id.checkout.FleetSigners, slices.Collect(maps.Values(id.checkout.HostSigners))) {
		k.SSH = append(k.SSH, string(signer))
	}
	return k
}

// Keyrings are several as one.
type Keyrings []agekey.Keyring

// Identities implements agekey.Keyring.
func (k Keyrings) Identities() ([]age.Identity, error) {
	var all []age.Identity
	for _, ring := range k {
		ids, err := ring.Identities()
		if err != nil {
			return nil, err
		}
		all = append(all, ids...)
	}
	return all, nil
}

// Has reports whether the identity in use opens what is encrypted to a recipient. For
// a plugin's key this is found out by trying; a key whose plugin is not installed
// belongs to someone else.
func (id *Identity) Has(recipient string) (bool, error) {
	ids, err := id.Ring.Identities()
	if err != nil {
		return false, err
	}
	plugins := false
	for _, id := range ids {
		own, named := agekey.RecipientOf(id)
		if named && own == recipient {
			return true, nil
		}
		plugins = plugins || !named
	}
	if !plugins {
		return false, nil
	}
	probe, err := agekey.Encrypt(secret.NewString("probe"), recipient)
	if err == nil {
		_, err = agekey.Decrypt("probe", probe, id.Ring)
	}
	return err == nil, nil
}

// WarnOfWeak warns the operator once in a run that a vault's password is weak.
func (id *Identity) WarnOfWeak(vault string) {
	if _, told := id.warned.LoadOrStore(vault, true); told || id.opts.Sink == nil {
		return
	}
	f := finding.Finding{Code: finding.VaultPasswordWeak, Severity: finding.Warning, Subject: id.checkout.Place("vaults", vault).String(),
		Text: fmt.Sprintf("the password of vault id %s can be guessed: %s", vault, ansiblevault.WeakReason)}
	progress.Scope{Sink: id.opts.Sink}.Note(fmt.Sprintf("%s: %s; use a random one: salvor secret rotate NAME --generate, and ansible-vault rekey for its files", f.Severity, f))
}

// keyring opens the operator's identity when the first secret is needed.
func (id *Identity) keyring() agekey.Keyring {
	return &lazyKeyring{
		open: func() (agekey.Keyring, error) { return id.File() },
		held: func() (agekey.Keyring, bool) {
			f, err := id.File()
			if err != nil {
				return nil, false
			}
			return id.inAgent(f)
		},
	}
}

// File reads the operator's identity file and opens nothing yet.
func (id *Identity) File() (*agekey.File, error) {
	path, err := PathOf(id.opts.Identity, id.checkout.Fleet.Name)
	if err != nil {
		return nil, err
	}
	o := agekey.FileOptions{Passphrase: func(wrong int) (secret.Value, error) { return id.opts.Passphrase(path, wrong) }}
	if id.opts.Say != nil {
		o.UI = id.pluginUI()
	}
	f, err := agekey.Open(path, o)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.WithHint(fmt.Errorf("%w: there is no identity at %s", secret.ErrLocked, path), "--identity FILE "+
			"names yours; if you have none, the recovery key opens everything: --identity CARD")
	}
	return f, err
}

// inAgent returns the keys of an identity file if a key agent holds them. The recovery
// key is taken from its file alone: what makes it an operator's again needs the key
// itself, which no agent gives.
func (id *Identity) inAgent(f *agekey.File) (agekey.Keyring, bool) {
	if id.opts.Agents == "" || !f.Protected() {
		return nil, false
	}
	agent, held, err := id.opts.Agents.Find(context.Background(), f.Content()) //nolint:forbidigo // a Keyring knows no context, and an agent answers at once
	if err != nil || slices.Contains(held.Recipients, id.checkout.Fleet.Recipients.Recovery) {
		return nil, false
	}
	return agent.Keyring(held, f), true
}

// Operator says who is at work: by whose key, and on which computer.
func (id *Identity) Operator() string {
	if !id.Unlocked() {
		return Owner()
	}
	ids, err := id.Ring.Identities()
	if err != nil {
		return Owner()
	}
	for _, r := range RecipientsOf(ids) {
		if r == id.checkout.Fleet.Recipients.Recovery {
			return "the recovery key (" + Owner() + ")"
		}
		for name, has := range id.checkout.Fleet.Recipients.Operators {
			if has == r {
				return name + " (" + Owner() + ")"
			}
		}
	}
	return Owner()
}

// Owner names anyone who runs this, for locks: "alice@laptop".
func Owner() string {
	name := "operator"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}

// Secret opens one secret, named as for SetSecret.
func (id *Identity) Secret(ctx context.Context, name string) (secret.Value, error) {
	return id.Store.Resolve(ctx, name)
}

// Secrets lists what is under secrets/ and what programs print, without opening
// anything.
func (id *Identity) Secrets() ([]secretstore.Info, error) { return id.Store.List() }

// RecipientsOf returns the recipients of keys; a plugin's can't be named.
func RecipientsOf(ids []age.Identity) []string {
	var all []string
	for _, id := range ids {
		if recipient, named := agekey.RecipientOf(id); named {
			all = append(all, recipient)
		}
	}
	return all
}
