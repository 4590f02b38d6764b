package secretstore

import (
	"bytes"
	"context"
	"crypto/subtle"
	"regexp"
	"slices"
	"strings"

	"filippo.io/age"

	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
)

// Kept are the public halves of keys that stay with the operators, under whatever
// name their private halves are found.
type Kept struct {
	Identities []string // age recipients of operators, of the recovery key and of hosts
	SSH        []string // lines of authorized_keys, those of signing keys as well
}

// Delivered resolves secrets of a store for what leaves the operators' computers, see
// Deliver.
type Delivered struct{ Store *Store }

// Resolve implements secret.Resolver.
func (d Delivered) Resolve(ctx context.Context, name string) (secret.Value, error) {
	return d.Store.Deliver(ctx, name)
}

// Deliver is Resolve for what leaves the operators' computers: see Deliverable. The
// value counts as well as the name, since anyone who can push can put a file of
// secrets/ under another name.
func (s *Store) Deliver(ctx context.Context, name string) (secret.Value, error) {
	if err := s.Deliverable(name); err != nil {
		return secret.Value{}, err
	}
	value, err := s.Resolve(ctx, name)
	if err == nil {
		err = s.deliverableValue(ctx, name, value)
	}
	if err != nil {
		return secret.Value{}, err
	}
	return value, nil
}

// DeliverFile is File for what leaves the operators' computers.
func (s *Store) DeliverFile(ctx context.Context, file string) (secret.Value, error) {
	name := strings.TrimPrefix(file, fleet.SecretDir+"/")
	if err := s.DeliverableFile(file); err != nil {
		return secret.Value{}, err
	}
	value, err := s.File(ctx, file)
	if err == nil {
		err = s.deliverableValue(ctx, name, value)
	}
	if err != nil {
		return secret.Value{}, err
	}
	return value, nil
}

// DeliverEnv is Env for what leaves the operators' computers.
func (s *Store) DeliverEnv(ctx context.Context, stack string, names ...string) (map[string]secret.Value, error) {
	for _, name := range names {
		if err := s.Deliverable(stack + "/" + name); err != nil {
			return nil, err
		}
	}
	env, err := s.Env(ctx, stack, names...)
	for name, value := range env {
		if err == nil {
			err = s.deliverableValue(ctx, stack+"/"+name, value)
		}
	}
	if err != nil {
		return nil, err
	}
	return env, nil
}

// deliverableValue returns why a value may not leave, by what it is.
func (s *Store) deliverableValue(ctx context.Context, name string, value secret.Value) error {
	content := value.Reveal()
	if s.holdsIdentity(content) || ssh.Holds(content, s.opts.Kept.SSH) || s.isVaultPassword(ctx, content) {
		return secretnames.Undeliverable(name)
	}
	return nil
}

var identityPattern = regexp.MustCompile(`(?i)AGE-SECRET-KEY-1[0-9A-Z]+`)

func (s *Store) holdsIdentity(content []byte) bool {
	for _, text := range identityPattern.FindAll(content, -1) {
		id, err := age.ParseX25519Identity(strings.ToUpper(string(text)))
		if err != nil {
			continue
		}
		public := id.Recipient().String()
		if slices.Contains(s.opts.Recipients, public) || slices.Contains(s.opts.Kept.Identities, public) {
			return true
		}
	}
	return false
}

// isVaultPassword compares with the passwords that files hold. Those that programs
// print are compared by what runs, in Deliverable: no one is asked for one here.
func (s *Store) isVaultPassword(ctx context.Context, content []byte) bool {
	content = bytes.TrimRight(content, "\r\n")
	for _, password := range s.vaultPasswords(ctx) {
		if len(content) > 0 && subtle.ConstantTimeCompare(bytes.TrimRight(password.Reveal(), "\r\n"), content) == 1 {
			return true
		}
	}
	return false
}

// vaultPasswords opens the passwords that files hold, once for a store and those
// over it. One that can't be opened here opens nothing either.
func (s *Store) vaultPasswords(ctx context.Context) []secret.Value {
	s.passwords.once.Do(func() {
		for _, setting := range s.Vaults {
			name, ok := setting.Secret()
			if !ok || s.programs.Has(name) {
				continue
			}
			if value, err := s.passwordNamed(ctx, name); err == nil {
				s.passwords.values = append(s.passwords.values, value)
			}
		}
	})
	return s.passwords.values
}
