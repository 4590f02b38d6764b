package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/distribution/reference"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostspec"
	"salvor/internal/placement"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// sealer keeps sealed/ in step with placements. What it made in this run comes
// before what the commit has.
type sealer struct {
	app  *App
	made map[string][]byte

	mu     sync.Mutex        // guards inputs
	inputs map[string]string // by the path of a seal that was seen to be current, the digest of its inputs
}

var _ deploy.Sealer = (*sealer)(nil)

// file reads a file of the repository, made ones first; nil when there is none.
func (s *sealer) file(name string) ([]byte, error) {
	if content, ok := s.made[name]; ok {
		return content, nil
	}
	content, err := os.ReadFile(filepath.Join(s.app.Checkout.Export, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// store opens secrets as they are with what was made.
func (s *sealer) store() *secretstore.Store { return s.app.Identity.Store.Over(s.made) }

// signed reads a sealed file with its signature; the zero one when there is none.
func (s *sealer) signed(name string) (seal.Signed, error) {
	file, err := s.file(name)
	if err != nil || file == nil {
		return seal.Signed{}, err
	}
	signature, err := s.file(seal.SignaturePath(name))
	return seal.Signed{File: file, Signature: signature}, err
}

// Current implements deploy.Sealer.
func (s *sealer) Current(host, stack string) (hostspec.Seal, error) {
	where := seal.Placement{Host: host, Stack: stack}.Path()
	sealed, err := s.signed(where)
	s.mu.Lock()
	defer s.mu.Unlock()
	return hostspec.Seal{File: sealed.File, Signature: sealed.Signature, Inputs: s.inputs[where]}, err
}

// note remembers what a seal was made from that is current now.
func (s *sealer) note(where, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inputs == nil {
		s.inputs = map[string]string{}
	}
	s.inputs[where] = digest
}

// Stale implements deploy.Sealer. While the fleet's signing key is replaced, a seal
// that the old one has signed is out of date.
func (s *sealer) Stale(ctx context.Context, lock fleet.Lock) (map[string]string, error) {
	trusted, err := s.app.Trusted(ctx)
	if err != nil {
		return nil, err
	}
	stale := map[string]string{}
	for name, p := range lock.Stacks {
		if st, declared := s.app.Checkout.Fleet.Stack(name); declared && st.Broken {
			continue // what it needs is not known; the seal that it has stays
		}
		why, err := s.stale(name, p, trusted[:1])
		if err != nil {
			return nil, err
		}
		if why != "" {
			stale[name] = why
		}
	}
	return stale, nil
}

// stale says why a placement needs another seal, "" when it needs none.
func (s *sealer) stale(stack string, p fleet.Placement, signer sign.Keys) (string, error) {
	in, err := s.inputsOf(stack, p)
	if err != nil {
		return "", err
	}
	where := in.Placement.Path()
	sealed, err := s.signed(where)
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
	if target := s.unmade(p); target != "" {
		return "no repository on " + target + " yet", nil
	}
	return "", nil
}

// unmade returns a snapshot target on which a placement has no repository, "" for
// none: it was declared since the seal was made.
func (s *sealer) unmade(p fleet.Placement) string {
	for _, t := range s.app.Checkout.Fleet.Snapshots {
		if p.Repositories[t.Name] == "" {
			return t.Name
		}
	}
	return ""
}

// needs is what a stack needs of the fleet's secrets on a host.
type needs struct {
	remotes    []fleet.Remote // targets', the record's and those they wrap
	registries []fleet.Registry
	files      []string // encrypted files that services mount
	env        []string // keys of secrets/<stack>.env
}

func (s *sealer) needs(stack, host string) needs {
	f := &s.app.Checkout.Fleet
	rendered := s.app.stacks[stack]
	var n needs
	names := []string{f.Record.Remote}
	for _, t := range f.Snapshots {
		names = append(names, t.Where.Remote)
	}
	for _, r := range withInner(f, names) {
		n.remotes = append(n.remotes, given(r, host, stack))
	}
	for _, r := range f.Registries {
		if slices.ContainsFunc(rendered.Project.Services, func(svc project.Service) bool { return registryOf(svc.Image) == r.Name }) {
			n.registries = append(n.registries, r)
		}
	}
	n.env = slices.Clone(rendered.Project.Env)
	for _, m := range rendered.Project.Secrets {
		if _, isFile := m.File(); isFile {
			n.files = append(n.files, m.Secret)
		} else {
			n.env = append(n.env, m.Secret)
		}
	}
	slices.Sort(n.files)
	slices.Sort(n.env)
	n.files, n.env = slices.Compact(n.files), slices.Compact(n.env)
	return n
}

// withInner adds the remotes that crypt remotes wrap.
func withInner(f *fleet.Fleet, names []string) []fleet.Remote {
	var found []fleet.Remote
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		r, ok := f.Remote(name)
		if !ok || slices.ContainsFunc(found, func(x fleet.Remote) bool { return x.Name == name }) {
			continue
		}
		found = append(found, r)
		if inner, wraps := r.Options["remote"]; wraps && r.Type == "crypt" {
			wrapped, _, _ := strings.Cut(inner.String(), ":")
			names = append(names, wrapped)
		}
	}
	return found
}

// registryOf returns the host of an image's registry.
func registryOf(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return ""
	}
	return reference.Domain(named)
}

// inputsOf is what a stack's seal is made from, without opening anything.
func (s *sealer) inputsOf(stack string, p fleet.Placement) (seal.Inputs, error) {
	recipient, enrolled := s.app.Checkout.Recipients[p.Host]
	if !enrolled {
		return seal.Inputs{}, fault.WithHint(fmt.Errorf("%s has no recipient in hosts/", p.Host), "salvor host add "+p.Host+" enrols it")
	}
	n, parts := s.needs(stack, p.Host), map[string][]byte{}
	for _, r := range n.remotes {
		parts["remote "+r.Name] = []byte(r.Type)
		for option, setting := range r.Options {
			if err := s.setting(parts, "remote "+r.Name+" "+option, setting); err != nil {
				return seal.Inputs{}, err
			}
		}
	}
	for _, r := range n.registries {
		if err := errors.Join(s.setting(parts, "registry user "+r.Name, r.Username), s.setting(parts, "registry password "+r.Name, r.Password)); err != nil {
			return seal.Inputs{}, err
		}
	}
	for target, id := range p.Repositories {
		parts["repository "+target] = []byte(id)
	}
	for target, ids := range p.Former {
		parts["former repositories "+target] = []byte(strings.Join(ids, " "))
	}
	if err := s.secretInputs(parts, stack, n); err != nil {
		return seal.Inputs{}, err
	}
	return seal.Inputs{Placement: seal.Placement{Host: p.Host, Stack: stack, Epoch: p.Epoch}, Recipients: []string{recipient}, Parts: parts}, nil
}

// secretInputs adds what Git has of a stack's secrets and for its repositories'
// passwords.
func (s *sealer) secretInputs(parts map[string][]byte, stack string, n needs) error {
	recovery, err := s.file(seal.RecoveryPath(stack))
	if err != nil {
		return err
	}
	parts[seal.RecoveryPath(stack)] = recovery
	for _, file := range n.files {
		if parts[file], err = there(s.store().SealedAt(file)); err != nil {
			return err
		}
	}
	if len(n.env) == 0 {
		return nil
	}
	parts["env"] = []byte(strings.Join(n.env, "\n"))
	for _, key := range n.env {
		name := fleet.EnvFile(stack) // all that are in the file are one input
		if _, printed := s.app.Command(stack + "/" + key); printed {
			name = "secrets/" + stack + "/" + key
		}
		if _, done := parts[name]; done {
			continue
		}
		if parts[name], err = there(s.store().Sealed(stack + "/" + key)); err != nil {
			return err
		}
	}
	return nil
}

// there is nothing for a secret that does not exist: the code that opens it reports that.
func there(content []byte, err error) ([]byte, error) {
	if errors.Is(err, secret.ErrNotFound) {
		return nil, nil
	}
	return content, err
}

func (s *sealer) setting(parts map[string][]byte, name string, v secret.Setting) error {
	parts[name] = []byte(v.String())
	ref, isSecret := v.Secret()
	if !isSecret {
		return nil
	}
	content, err := there(s.store().Sealed(ref))
	parts[name+" sealed"] = content
	return err
}

// Seal implements deploy.Sealer.
func (s *sealer) Seal(ctx context.Context, lock fleet.Lock, stacks []string, consent map[string]project.Consent) (map[string][]byte, fleet.Lock, error) {
	next := lock.Copy()
	key, err := s.app.SigningKey(ctx)
	if err != nil {
		return nil, next, err
	}
	files := map[string][]byte{}
	if s.made == nil {
		s.made = map[string][]byte{}
	}
	for _, name := range stacks {
		p, changed, err := s.repositories(ctx, name, next.Stacks[name], consent[name], key)
		if err != nil {
			return nil, next, err
		}
		maps.Copy(s.made, changed)
		maps.Copy(files, changed)
		next = placement.WithRepositories(next, name, p.Repositories, p.Former)
		sealed, err := s.sealStack(ctx, name, p, key)
		if err != nil {
			return nil, next, fmt.Errorf("seal %s for %s: %w", name, p.Host, err)
		}
		where := seal.Placement{Host: p.Host, Stack: name}.Path()
		maps.Copy(files, sealed.Files(where))
		maps.Copy(s.made, sealed.Files(where))
		s.dropOthers(name, p.Host, files)
	}
	return files, next, nil
}

// dropOthers removes the seals of hosts that have the stack no longer.
func (s *sealer) dropOthers(stack, host string, files map[string][]byte) {
	old, err := filepath.Glob(filepath.Join(s.app.Checkout.Export, "sealed", "*", stack+".age"))
	if err != nil {
		return // the pattern is ours and valid
	}
	for _, f := range old {
		dir, gone := filepath.Base(filepath.Dir(f)), path.Join("sealed", filepath.Base(filepath.Dir(f)), stack+".age")
		if dir == host || dir == "recovery" {
			continue
		}
		files[gone] = nil
		if signature, err := s.file(seal.SignaturePath(gone)); err == nil && signature != nil {
			files[seal.SignaturePath(gone)] = nil
		}
	}
}

func (s *sealer) sealStack(ctx context.Context, stack string, p fleet.Placement, key sign.Key) (sealed seal.Signed, err error) {
	in, err := s.inputsOf(stack, p)
	if err != nil {
		return sealed, err
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{}, Repositories: map[string][]byte{}, Registries: map[string]agentapi.SealedLogin{}, Secrets: map[string][]byte{}, Env: map[string][]byte{}}
	n := s.needs(stack, p.Host)
	for _, r := range n.remotes {
		if file.Remotes[r.Name], err = s.sealRemote(ctx, r); err != nil {
			return sealed, err
		}
	}
	for _, r := range n.registries {
		login, err := s.sealLogin(ctx, r)
		if err != nil {
			return sealed, err
		}
		file.Registries[r.Name] = login
	}
	recovery, err := s.recovery(ctx, stack)
	if err != nil {
		return sealed, err
	}
	for _, one := range repositoriesOf(p) {
		repo, ok := recovery.Find(one.id)
		if !ok {
			return sealed, fmt.Errorf("%s has no password of repository %s", seal.RecoveryPath(stack), one.id)
		}
		file.Repositories[one.id] = repo.Password.Reveal()
	}
	if err := s.sealSecrets(ctx, stack, n, &file); err != nil {
		return sealed, err
	}
	if sealed, err = seal.Seal(file, in, key); err == nil {
		s.note(in.Placement.Path(), in.Digest())
	}
	return sealed, err
}

// sealRemote opens the secrets of a remote, which may be as a host is given it. What
// fleet.yaml says of it is approved first.
func (s *sealer) sealRemote(ctx context.Context, r fleet.Remote) (agentapi.SealedRemote, error) {
	sealed := agentapi.SealedRemote{Type: r.Type, Options: map[string][]byte{}}
	if err := s.app.allowRemote(ctx, s.app.asDeclared(r)); err != nil {
		return sealed, err
	}
	for option, setting := range r.Options {
		value, err := setting.Resolve(ctx, delivered{s.store()})
		if err != nil {
			return sealed, fmt.Errorf("remote %s, option %s: %w", r.Name, option, err)
		}
		sealed.Options[option] = value.Reveal()
	}
	return sealed, nil
}

// delivered opens secrets for what leaves the operator's computer.
type delivered struct{ store *secretstore.Store }

// Resolve implements secret.Resolver.
func (d delivered) Resolve(ctx context.Context, name string) (secret.Value, error) {
	return d.store.Deliver(ctx, name)
}

func (s *sealer) sealLogin(ctx context.Context, r fleet.Registry) (agentapi.SealedLogin, error) {
	username, err := r.Username.Resolve(ctx, delivered{s.store()})
	if err != nil {
		return agentapi.SealedLogin{}, fmt.Errorf("registry %s: %w", r.Name, err)
	}
	password, err := r.Password.Resolve(ctx, delivered{s.store()})
	if err != nil {
		return agentapi.SealedLogin{}, fmt.Errorf("registry %s: %w", r.Name, err)
	}
	return agentapi.SealedLogin{Username: username.Reveal(), Password: password.Reveal()}, nil
}

func (s *sealer) sealSecrets(ctx context.Context, stack string, n needs, file *agentapi.SealedFile) error {
	for _, name := range n.files {
		value, err := s.store().DeliverFile(ctx, name)
		if err != nil {
			return err
		}
		file.Secrets[name] = value.Reveal()
	}
	if len(n.env) == 0 {
		return nil
	}
	env, err := s.store().DeliverEnv(ctx, stack, n.env...)
	if err != nil {
		return err
	}
	for key, value := range env {
		file.Env[key], file.Secrets[key] = value.Reveal(), value.Reveal()
	}
	return nil
}
