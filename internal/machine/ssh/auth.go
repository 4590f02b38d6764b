package ssh

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"salvor/internal/secret"
)

// Auth is how the operator proves who they are: key files, then whatever else
// an SSH agent holds. A key that is in both is taken from the agent.
type Auth struct {
	Agent      string                                             // socket, usually $SSH_AUTH_SOCK
	Files      []string                                           // private keys; those that do not exist are skipped
	Kept       []KeptKey                                          // tried after all others
	Passphrase func(file string, wrong int) (secret.Value, error) // asked only for a key that the host takes, again after wrong ones, until an error
	Unlocked   *Unlocked                                          // keys whose passphrase need not be asked for again; nil for none
	Last       PublicKey                                          // is offered first: what the host took last, "" for none
	Took       func(PublicKey)                                    // is called with the key that a host took, unless it is a kept one; may be nil
	Passwords  *Passwords                                         // logs in with a password, and no key is offered; nil for keys
}

// UserAuth returns what OpenSSH would use for a host: $SSH_AUTH_SOCK, the
// IdentityFile lines of ~/.ssh/config that apply, else the usual files. A
// configuration that uses more than Host blocks is skipped.
func UserAuth(host string) (Auth, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return Auth{}, err
	}
	auth := Auth{Agent: os.Getenv("SSH_AUTH_SOCK")}
	config, err := os.Open(filepath.Join(home, ".ssh", "config"))
	if err == nil {
		defer config.Close()
		auth.Files = identityFiles(config, home, host)
	} else if !errors.Is(err, os.ErrNotExist) {
		return Auth{}, err
	}
	if len(auth.Files) == 0 {
		for _, name := range []string{"id_ed25519", "id_ecdsa", "id_rsa"} {
			auth.Files = append(auth.Files, filepath.Join(home, ".ssh", name))
		}
	}
	return auth, nil
}

func identityFiles(config io.Reader, home, host string) []string {
	parsed, err := ssh_config.Decode(config)
	if err != nil {
		return nil
	}
	lines, err := parsed.GetAll(host, "IdentityFile")
	if err != nil {
		return nil
	}
	var files []string
	for _, line := range lines {
		file := strings.Trim(line, `"`)
		if rest, ok := strings.CutPrefix(file, "~/"); ok {
			file = filepath.Join(home, rest)
		}
		files = append(files, strings.ReplaceAll(file, "%d", home))
	}
	return files
}

type ask func(file string, wrong int) (secret.Value, error)

// methods returns those with which the host may be convinced, and what ends the agent's
// connection: passwords, or one public-key method that tries every key. typing is called
// before a person may be asked for something, and what it returns afterwards.
func (a Auth) methods(ctx context.Context, offered *offer, typing func() (done func())) ([]ssh.AuthMethod, func()) {
	if a.Passwords != nil {
		return a.Passwords.methods(typing), func() {}
	}
	var held agent.ExtendedAgent
	done := func() {}
	if a.Agent != "" {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "unix", a.Agent); err == nil {
			held, done = agent.NewClient(conn), func() { conn.Close() }
		}
	}
	var ask ask
	if a.Passphrase != nil {
		ask = func(file string, wrong int) (secret.Value, error) {
			defer typing()()
			return a.Passphrase(file, wrong)
		}
	}
	var kept []keptSigner
	for _, k := range a.Kept {
		kept = append(kept, keptSigner{line: k.Public, open: func() (secret.Value, error) {
			defer typing()()
			return k.Open(ctx)
		}})
	}
	return []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
		all, err := a.signers(held, ask, kept)
		return offered.of(first(all, a.Last)), err
	})}, done
}

func (a Auth) signers(held agent.ExtendedAgent, ask ask, kept []keptSigner) ([]ssh.Signer, error) {
	var all, inAgent []ssh.Signer
	var errs []error
	if held != nil {
		signers, err := held.Signers()
		inAgent, errs = signers, append(errs, err)
	}
	for _, file := range a.Files {
		signer, err := a.load(file, ask)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if i := index(inAgent, signer.PublicKey()); i >= 0 {
			signer = inAgent[i]
		}
		all = append(all, signer)
	}
	for _, s := range inAgent {
		if index(all, s.PublicKey()) < 0 {
			all = append(all, s)
		}
	}
	for _, k := range kept {
		var err error
		if k.public, err = k.line.parse(); err != nil {
			return nil, err
		}
		all = append(all, &k)
	}
	if len(all) > 0 {
		return all, nil
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return nil, errors.New("no SSH key: start an agent, or name a key file")
}

func index(signers []ssh.Signer, key ssh.PublicKey) int {
	for i, s := range signers {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return i
		}
	}
	return -1
}

func (a Auth) load(file string, ask ask) (ssh.Signer, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(content)
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) && locked.PublicKey != nil && ask != nil {
		if open := a.Unlocked.find(locked.PublicKey); open != nil {
			return open, nil
		}
		return &lockedKey{known: a.Unlocked, file: file, content: content, public: locked.PublicKey, ask: ask}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return signer, nil
}

// lockedKey is unlocked when the host has said that it takes this key.
type lockedKey struct {
	file    string
	content []byte
	public  ssh.PublicKey
	ask     ask
	known   *Unlocked
}

// PublicKey implements ssh.Signer.
func (k *lockedKey) PublicKey() ssh.PublicKey { return k.public }

// Sign implements ssh.Signer.
func (k *lockedKey) Sign(rand io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignWithAlgorithm(rand, data, "")
}

// SignWithAlgorithm implements ssh.AlgorithmSigner.
func (k *lockedKey) SignWithAlgorithm(rand io.Reader, data []byte, algorithm string) (*ssh.Signature, error) {
	signer, err := k.unlock()
	if err != nil {
		return nil, err
	}
	if as, ok := signer.(ssh.AlgorithmSigner); ok {
		return as.SignWithAlgorithm(rand, data, algorithm)
	}
	return signer.Sign(rand, data)
}

// unlock asks for the passphrase until one opens the key.
func (k *lockedKey) unlock() (ssh.Signer, error) {
	for wrong := 0; ; wrong++ {
		passphrase, err := k.ask(k.file, wrong)
		if err != nil {
			return nil, err
		}
		signer, err := ssh.ParsePrivateKeyWithPassphrase(k.content, passphrase.Reveal())
		if err == nil {
			k.known.add(signer)
			return signer, nil
		}
		if !errors.Is(err, x509.IncorrectPasswordError) {
			return nil, fmt.Errorf("%s: %w", k.file, err)
		}
	}
}
