// Package sealing keeps sealed/ in step with placements: it says which seals are out of
// date, and makes them, with the repositories that their stacks need.
package sealing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"path/filepath"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/hostspec"
	"salvor/internal/needs"
	"salvor/internal/placement"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// Sealer seals the stacks of a checkout. What it made in this run comes before what the
// commit has.
type Sealer struct {
	checkout  *checkout.Checkout
	needs     *needs.Needs // with what was made
	confirmed *confirmation.Confirmed
	keys      *fleetkeys.Keys

	mu     sync.Mutex        // guards inputs
	inputs map[string]string // by the path of a seal that was seen to be current, the digest of its inputs
}

// New returns one that goes by what was made already, nil for nothing.
func New(c *checkout.Checkout, n *needs.Needs, confirmed *confirmation.Confirmed, k *fleetkeys.Keys, made map[string][]byte) *Sealer {
	return &Sealer{checkout: c, needs: n.Over(made), confirmed: confirmed, keys: k}
}

// Current implements deploy.Sealer.
func (s *Sealer) Current(host, stack string) (hostspec.Seal, error) {
	where := seal.Placement{Host: host, Stack: stack}.Path()
	sealed, err := s.needs.Signed(where)
	s.mu.Lock()
	defer s.mu.Unlock()
	return hostspec.Seal{File: sealed.File, Signature: sealed.Signature, Inputs: s.inputs[where]}, err
}

// note remembers what a seal was made from that is current now.
func (s *Sealer) note(where, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inputs == nil {
		s.inputs = map[string]string{}
	}
	s.inputs[where] = digest
}

// Stale implements deploy.Sealer. While the fleet's signing key is replaced, a seal
// that the old one has signed is out of date.
func (s *Sealer) Stale(_ context.Context, lock fleet.Lock) (map[string]string, error) {
	trusted, err := s.confirmed.Trusted()
	if err != nil {
		return nil, err
	}
	stale := map[string]string{}
	for name, p := range lock.Sealed() {
		if h, own := s.needs.Owner(name); own && !s.checkout.Fleet.HasOwn(lock, h) {
			if sealed, err := s.needs.Signed(seal.Placement{Host: p.Host, Stack: name}.Path()); err != nil {
				return nil, err
			} else if sealed.File != nil {
				stale[name] = "the host has nothing of its own any more"
			}
			continue
		}
		if st, declared := s.checkout.Fleet.Stack(name); declared && st.Broken {
			continue // what it needs is not known; the seal that it has stays
		}
		why, err := s.stale(name, lock, trusted[:1])
		if err != nil {
			return nil, err
		}
		if why != "" {
			stale[name] = why
		}
	}
	return stale, nil
}

// stale says why a placement needs another seal under lock, "" when it needs none.
func (s *Sealer) stale(stack string, lock fleet.Lock, signer sign.Keys) (string, error) {
	in, err := s.needs.Inputs(stack, lock)
	if err != nil {
		return "", err
	}
	where := in.Placement.Path()
	sealed, err := s.needs.Signed(where)
	if err != nil {
		return "", err
	}
	if sealed.File == nil {
		return "no sealed file yet", nil
	}
	switch err := sealed.Current(in, signer); {
	case errors.Is(err, seal.ErrStale):
		return seal.ErrStale.Error(), nil
	case err != nil:
		return err.Error(), nil
	}
	s.note(where, in.Digest())
	if target := s.unmade(stack, lock); target != "" {
		return "no repository on " + target + " yet", nil
	}
	return "", nil
}

// unmade returns a snapshot target on which a placement has no repository, "" for
// none: it was declared since the seal was made.
func (s *Sealer) unmade(stack string, lock fleet.Lock) string {
	p, _ := lock.Placement(stack)
	for _, t := range s.needs.Targets(stack) {
		if p.Repositories[t.Name] == "" {
			return t.Name
		}
	}
	return ""
}

// Seal implements deploy.Sealer.
func (s *Sealer) Seal(ctx context.Context, lock fleet.Lock, stacks []string, consent map[string]project.Consent) (map[string][]byte, fleet.Lock, error) {
	next := lock.Copy()
	key, err := s.keys.SigningKey(ctx)
	if err != nil {
		return nil, next, err
	}
	files := map[string][]byte{}
	for _, name := range stacks {
		placed, _ := next.Placement(name)
		if h, own := s.needs.Owner(name); own && !s.checkout.Fleet.HasOwn(next, h) {
			s.drop(seal.Placement{Host: placed.Host, Stack: name}.Path(), files)
			continue
		}
		p, changed, err := s.repositories(name, placed, consent[name], key)
		if err != nil {
			return nil, next, err
		}
		s.needs.Add(changed)
		maps.Copy(files, changed)
		next = placement.WithRepositories(next, name, p.Repositories, p.Former)
		sealed, err := s.stack(ctx, name, next, key)
		if err != nil {
			return nil, next, fmt.Errorf("seal %s for %s: %w", name, p.Host, err)
		}
		where := seal.Placement{Host: p.Host, Stack: name}.Path()
		maps.Copy(files, sealed.Files(where))
		s.needs.Add(sealed.Files(where))
		s.dropOthers(name, p.Host, files)
	}
	return files, next, nil
}

// dropOthers removes the seals of hosts that have the stack no longer.
func (s *Sealer) dropOthers(stack, host string, files map[string][]byte) {
	old, err := filepath.Glob(filepath.Join(s.checkout.Export, fleet.SealedDir, "*", stack+".age"))
	if err != nil {
		return // the pattern is ours and valid
	}
	for _, f := range old {
		if dir := filepath.Base(filepath.Dir(f)); dir != host && dir != "recovery" {
			s.drop(path.Join(fleet.SealedDir, dir, stack+".age"), files)
		}
	}
}

// drop removes a seal, with its signature.
func (s *Sealer) drop(where string, files map[string][]byte) {
	files[where] = nil
	if signature, err := s.needs.File(seal.SignaturePath(where)); err == nil && signature != nil {
		files[seal.SignaturePath(where)] = nil
	}
}

func (s *Sealer) stack(ctx context.Context, stack string, lock fleet.Lock, key sign.Key) (sealed seal.Signed, err error) {
	p, _ := lock.Placement(stack)
	in, err := s.needs.Inputs(stack, lock)
	if err != nil {
		return sealed, err
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{}, Repositories: map[string][]byte{}, Registries: map[string]agentapi.SealedLogin{}, Secrets: map[string][]byte{}, Env: map[string][]byte{}}
	n := s.needs.Of(stack, p.Host, lock)
	for _, r := range n.Remotes {
		if file.Remotes[r.Name], err = s.Remote(ctx, r); err != nil {
			return sealed, err
		}
	}
	for _, r := range n.Registries {
		login, err := s.Login(ctx, r)
		if err != nil {
			return sealed, err
		}
		file.Registries[r.Name] = login
	}
	recovery, err := s.Recovery(stack)
	if err != nil {
		return sealed, err
	}
	for _, one := range p.EveryRepository() {
		repo, ok := recovery.Find(one.ID)
		if !ok {
			return sealed, fmt.Errorf("%s has no password of repository %s", seal.RecoveryPath(stack), one.ID)
		}
		file.Repositories[one.ID] = repo.Password.Reveal()
	}
	if err := s.secrets(ctx, stack, n, &file); err != nil {
		return sealed, err
	}
	if err := s.credentials(ctx, n, &file); err != nil {
		return sealed, err
	}
	if sealed, err = seal.Seal(file, in, key); err == nil {
		s.note(in.Placement.Path(), in.Digest())
	}
	return sealed, err
}

// Remote opens the secrets of a remote, which may be as a host is given it. What
// fleet.yaml says of it is approved first.
func (s *Sealer) Remote(ctx context.Context, r fleet.Remote) (agentapi.SealedRemote, error) {
	sealed := agentapi.SealedRemote{Type: r.Type, Options: map[string][]byte{}}
	if err := s.confirmed.AllowRemote(s.needs.AsDeclared(r)); err != nil {
		return sealed, err
	}
	for option, setting := range r.Options {
		value, err := setting.Resolve(ctx, secretstore.Delivered{Store: s.needs.Store()})
		if err != nil {
			return sealed, fmt.Errorf("remote %s, option %s: %w", r.Name, option, err)
		}
		sealed.Options[option] = value.Reveal()
	}
	return sealed, nil
}

// Login opens the secrets of a registry's login.
func (s *Sealer) Login(ctx context.Context, r fleet.Registry) (agentapi.SealedLogin, error) {
	username, err := r.Username.Resolve(ctx, secretstore.Delivered{Store: s.needs.Store()})
	if err != nil {
		return agentapi.SealedLogin{}, fmt.Errorf("registry %s: %w", r.Name, err)
	}
	password, err := r.Password.Resolve(ctx, secretstore.Delivered{Store: s.needs.Store()})
	if err != nil {
		return agentapi.SealedLogin{}, fmt.Errorf("registry %s: %w", r.Name, err)
	}
	return agentapi.SealedLogin{Username: username.Reveal(), Password: password.Reveal()}, nil
}

// credentials opens those of a host's mounts, and its tokens: for the repository, and for
// its routes.
func (s *Sealer) credentials(ctx context.Context, n needs.Need, file *agentapi.SealedFile) error {
	for _, token := range []struct {
		name string
		from secret.Setting
		to   *[]byte
	}{{"git.read_token", n.ReadToken, &file.ReadToken}, {"ingress.token", n.Ingress, &file.IngressToken}} {
		if token.from.IsZero() {
			continue
		}
		value, err := token.from.Resolve(ctx, secretstore.Delivered{Store: s.needs.Store()})
		if err != nil {
			return fmt.Errorf("%s: %w", token.name, err)
		}
		*token.to = value.Reveal()
	}
	for _, m := range n.Mounts {
		value, err := m.Credential().Resolve(ctx, secretstore.Delivered{Store: s.needs.Store()})
		if err != nil {
			return fmt.Errorf("mount %s, credentials: %w", m.Name, err)
		}
		file.Secrets[m.Name] = value.Reveal()
	}
	return nil
}

func (s *Sealer) secrets(ctx context.Context, stack string, n needs.Need, file *agentapi.SealedFile) error {
	for _, name := range n.Files {
		value, err := s.needs.Store().DeliverFile(ctx, name)
		if err != nil {
			return err
		}
		file.Secrets[name] = value.Reveal()
	}
	if len(n.Env) == 0 {
		return nil
	}
	env, err := s.needs.Store().DeliverEnv(ctx, stack, n.Env...)
	if err != nil {
		return err
	}
	for key, value := range env {
		file.Env[key], file.Secrets[key] = value.Reveal(), value.Reveal()
	}
	return nil
}
