// Package secretstore finds secrets in the control repository, opens them and
// makes their new content. It reads from a commit or a work tree and writes
// nothing itself: changes are file contents for the caller to commit. The
// layout is docs/adr/0002-secret-layout.md.
package secretstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/secret/command"
	"salvor/internal/secret/sops"
	"salvor/internal/secretnames"
)

// Options say where secrets are and who can read them.
type Options struct {
	Files      fs.FS          // the repository at one commit, or its work tree
	Keys       agekey.Keyring // the operator's; asked for only when something is decrypted
	Recipients []string       // fleet.Recipients.All: whom new content is encrypted to

	Vaults  map[string]secret.Setting // Ansible Vault id to the reference of its password
	Token   secret.Setting            // of the operators at the Git host
	Secrets []fleet.Secret            // those with a command are what it prints
	Run     command.Options           // where their commands run
	Weak    func(vaultID string)      // called when a vault is opened or sealed with a weak password; may be nil
	Kept    Kept                      // what is delivered under no name
	Opened  func(name string)         // called for each file, value or program that was opened, by several goroutines at once; may be nil
}

// A Store is the secrets of a control repository. It implements
// secret.Resolver and is safe for concurrent use.
type Store struct {
	secretnames.Names
	opts      Options
	programs  *command.Programs
	passwords *passwords // of vaults, opened at most once
}

type passwords struct {
	once   sync.Once
	values []secret.Value
}

// New returns the store. It reads nothing and runs nothing yet.
func New(opts Options) *Store {
	programs := map[string]command.Program{}
	for _, s := range opts.Secrets {
		if s.Command != nil {
			programs[s.Name] = command.Program{Argv: s.Command, Timeout: s.Timeout}
		}
	}
	return &Store{Names: secretnames.Names{Files: opts.Files, Secrets: opts.Secrets, Vaults: opts.Vaults, Token: opts.Token}, opts: opts, programs: command.New(programs, opts.Run), passwords: &passwords{}}
}

// Resolve opens the secret of that name: what `secret:NAME` and Compose's
// `external: true` mean. An unknown name wraps secret.ErrNotFound.
func (s *Store) Resolve(ctx context.Context, name string) (secret.Value, error) {
	at, err := s.Find(name)
	switch {
	case ctx.Err() != nil:
		return secret.Value{}, fmt.Errorf("secret %s: %w", name, context.Cause(ctx))
	case err != nil:
		return secret.Value{}, err
	case at.Stack != "":
		all, err := s.Env(ctx, at.Stack, at.Key)
		return all[at.Key], err
	case s.programs.Has(name):
		return s.printed(ctx, name)
	}
	value, err := s.plain(ctx, at)
	if errors.Is(err, secret.ErrNotFound) {
		err = fault.WithHint(err, "salvor secret set "+name)
	}
	return value, advise(at.File, err)
}

// advise adds the next step to an error of reading a file, where it has none.
func advise(file string, err error) error {
	switch {
	case err == nil || fault.Hint(err) != "" || errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, secret.ErrLocked):
		return fault.WithHint(err, "salvor secret ls shows who can open it; --identity FILE uses another key")
	case errors.Is(err, secret.ErrNotFound):
		return fault.WithHint(err, "salvor secret ls")
	}
	return fault.WithHint(err, secret.RestoreHint(file))
}

// File opens what a service mounts, by its path below secrets/: an encrypted file,
// which is what Compose's `file:` means, or the secret that `external: true` names
// there. A file is returned in its own format.
func (s *Store) File(ctx context.Context, file string) (secret.Value, error) {
	at, program, err := s.mounted(file)
	switch {
	case ctx.Err() != nil:
		return secret.Value{}, fmt.Errorf("%s: %w", file, context.Cause(ctx))
	case err != nil:
		return secret.Value{}, err
	case program != "":
		return s.printed(ctx, program)
	}
	value, err := s.plain(ctx, at)
	return value, advise(at.File, err)
}

// mounted returns where a path below secrets/ is kept, or which program prints it.
func (s *Store) mounted(file string) (at fleet.SecretName, program string, err error) {
	if err = fleet.BelowSecrets(file); err != nil {
		return at, "", err
	}
	name := strings.TrimPrefix(file, fleet.SecretDir+"/")
	if s.programs.Has(name) {
		return at, name, nil
	}
	if fleet.SecretInYAML(name) {
		at, err = s.Find(name)
		return at, "", err
	}
	return fleet.SecretName{File: file}, "", nil
}

// Env opens some of a stack's secret variables: what Compose's `environment: NAME`
// and `${NAME}` mean. One that is not there wraps secret.ErrNotFound.
func (s *Store) Env(ctx context.Context, stack string, names ...string) (map[string]secret.Value, error) {
	env := map[string]secret.Value{}
	var inFile []string
	for _, name := range names {
		if !s.programs.Has(stack + "/" + name) {
			inFile = append(inFile, name)
			continue
		}
		value, err := s.printed(ctx, stack+"/"+name)
		if err != nil {
			return nil, err
		}
		env[name] = value
	}
	if len(inFile) == 0 {
		return env, nil
	}
	held, err := s.AllEnv(stack)
	if err != nil {
		return nil, advise(fleet.EnvFile(stack), err)
	}
	for _, name := range inFile {
		value, ok := held[name]
		if !ok {
			return nil, fault.WithHint(fmt.Errorf("%s/%s.env has no %s: %w", fleet.SecretDir, stack, name, secret.ErrNotFound), fmt.Sprintf("salvor secret set %s/%s", stack, name))
		}
		env[name] = value
	}
	return env, nil
}

// AllEnv opens all secret variables in a stack's file, none where there is no file.
func (s *Store) AllEnv(stack string) (map[string]secret.Value, error) {
	path, err := fleet.EnvFile(stack), fleet.ValidName(stack)
	if err != nil {
		return nil, err
	}
	f, err := s.parse(path)
	if errors.Is(err, secret.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	env, err := f.Env(s.opts.Keys)
	s.opened(path, err)
	return env, err
}

// EnvText opens a stack's secret variables as the text that SOPS encrypts: what a
// person edits. A stack without the file wraps secret.ErrNotFound.
func (s *Store) EnvText(stack string) (secret.Value, error) {
	path, err := fleet.EnvFile(stack), fleet.ValidName(stack)
	if err != nil {
		return secret.Value{}, err
	}
	f, err := s.parse(path)
	if err != nil {
		return secret.Value{}, err
	}
	text, err := f.Plain(s.opts.Keys)
	s.opened(path, err)
	return text, err
}

// EnvNames is Names.EnvNames for an operator: a file that is not SOPS's is an error.
func (s *Store) EnvNames(stack string) ([]string, error) {
	if err := fleet.ValidName(stack); err != nil {
		return nil, err
	}
	if _, err := s.parse(fleet.EnvFile(stack)); err != nil && !errors.Is(err, secret.ErrNotFound) {
		return nil, err
	}
	return s.Names.EnvNames(stack)
}

// Ciphertext returns a file below secrets/ as it is in the repository.
func (s *Store) Ciphertext(path string) ([]byte, error) {
	if err := fleet.BelowSecrets(path); err != nil {
		return nil, err
	}
	return s.read(path)
}

// opened reports that something was decrypted.
func (s *Store) opened(path string, err error) {
	if err == nil && s.opts.Opened != nil {
		s.opts.Opened(strings.TrimPrefix(path, fleet.SecretDir+"/"))
	}
}

// printed runs the program that prints a secret, once.
func (s *Store) printed(ctx context.Context, name string) (secret.Value, error) {
	value, err := s.programs.Open(ctx, name)
	s.opened(name, err)
	return value, err
}

// plain opens a file, or a value in a YAML file.
func (s *Store) plain(ctx context.Context, at fleet.SecretName) (value secret.Value, err error) {
	if at.Key != "" {
		value, err = s.inlineValue(ctx, at)
		s.opened(at.File+"/"+at.Key, err)
		return value, err
	}
	value, err = s.whole(ctx, at)
	s.opened(at.File, err)
	return value, err
}

func (s *Store) whole(ctx context.Context, at fleet.SecretName) (secret.Value, error) {
	data, err := s.read(at.File)
	if err != nil {
		return secret.Value{}, err
	}
	switch kind, err := kindOf(at.File, data); {
	case err != nil:
		return secret.Value{}, err
	case kind.vault != nil:
		return s.openVault(ctx, at.File, *kind.vault)
	case kind.inline != nil:
		return s.clearInline(ctx, at.File, kind.inline)
	default:
		return kind.sops.Plain(s.opts.Keys)
	}
}

// A kind is how a file is encrypted: one of its fields is set.
type kind struct {
	vault  *ansiblevault.Envelope
	inline *ansiblevault.Inline
	sops   *sops.File
}

// kindOf reads a file without any key. One that is not encrypted wraps
// sops.ErrPlain.
func kindOf(file string, data []byte) (k kind, err error) {
	if ansiblevault.IsVault(data) {
		e, err := ansiblevault.Parse(data)
		return kind{vault: &e}, wrap(file, err)
	}
	if sops.FormatOf(file) == sops.YAML {
		if f, ok, err := ansiblevault.ParseInline(file, data); ok {
			return kind{inline: f}, err
		}
	}
	k.sops, err = sops.Parse(file, data)
	return k, err
}

// parse reads a file that has to be SOPS's.
func (s *Store) parse(path string) (*sops.File, error) {
	data, err := s.read(path)
	if err != nil {
		return nil, err
	}
	if ansiblevault.IsVault(data) {
		return nil, fmt.Errorf("%s is an Ansible Vault; it must be a SOPS file, because its names must be readable without a key", path)
	}
	return sops.Parse(path, data)
}

func (s *Store) read(path string) ([]byte, error) {
	data, err := fs.ReadFile(s.Files, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, secret.ErrNotFound)
	}
	return data, err
}

// command returns what is declared of a secret that a program prints.
func (s *Store) command(name string) (fleet.Secret, bool) {
	i := slices.IndexFunc(s.Secrets, func(d fleet.Secret) bool { return d.Name == name && d.Command != nil })
	if i < 0 {
		return fleet.Secret{}, false
	}
	return s.Secrets[i], true
}
