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

	"github.com/distribution/reference"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

// sealer keeps sealed/ in step with placements. What it made in this run comes
// before what the commit has.
type sealer struct {
	app  *App
	made map[string][]byte
}

var _ deploy.Sealer = (*sealer)(nil)

// file reads a file of the repository, made ones first; nil when there is none.
func (s *sealer) file(name string) ([]byte, error) {
	if content, ok := s.made[name]; ok {
		return content, nil
	}
	content, err := os.ReadFile(filepath.Join(s.app.export, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// store opens secrets as they are with what was made.
func (s *sealer) store() *secretstore.Store { return s.app.store.Over(s.made) }

// Current implements deploy.Sealer.
func (s *sealer) Current(host, stack string) ([]byte, error) {
	return s.file(seal.Placement{Host: host, Stack: stack}.Path())
}

// Stale implements deploy.Sealer.
func (s *sealer) Stale(lock fleet.Lock) (map[string]string, error) {
	stale := map[string]string{}
	for name, p := range lock.Stacks {
		if st, declared := s.app.repo.Fleet.Stack(name); declared && st.Broken {
			continue // what it needs is not known; the seal that it has stays
		}
		sealed, err := s.Current(p.Host, name)
		if err != nil {
			return nil, err
		}
		in, err := s.inputs(name, p)
		if err != nil {
			return nil, err
		}
		switch {
		case sealed == nil:
			stale[name] = "no seal yet"
		case !seal.Current(sealed, in):
			stale[name] = "its secrets, remotes or recipients changed"
		default:
			if target := s.unmade(p); target != "" {
				stale[name] = "no repository on " + target + " yet"
			}
		}
	}
	return stale, nil
}

// unmade returns a snapshot target on which a placement has no repository, "" for
// none: it was declared since the seal was made.
func (s *sealer) unmade(p fleet.Placement) string {
	for _, t := range s.app.repo.Fleet.Snapshots {
		if p.Repositories[t.Name] == "" {
			return t.Name
		}
	}
	return ""
}

// needs is what a stack needs of the fleet's secrets.
type needs struct {
	remotes    []fleet.Remote // targets', the record's and those they wrap
	registries []fleet.Registry
	files      []string // encrypted files that services mount
	env        []string // keys of secrets/<stack>.env
}

func (s *sealer) needs(stack string) needs {
	f := &s.app.repo.Fleet
	rendered := s.app.stacks[stack]
	var n needs
	names := []string{f.Record.Remote}
	for _, t := range f.Snapshots {
		names = append(names, t.Where.Remote)
	}
	n.remotes = withInner(f, names)
	for _, r := range f.Registries {
		if slices.ContainsFunc(rendered.Project.Services, func(svc agentapi.Service) bool { return registryOf(svc.Image) == r.Name }) {
			n.registries = append(n.registries, r)
		}
	}
	n.env = slices.Clone(rendered.Project.Env)
	for _, m := range rendered.Project.Secrets {
		if strings.HasPrefix(m.Secret, "secrets/") {
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

// inputs are what a stack's seal is made from, without opening anything.
func (s *sealer) inputs(stack string, p fleet.Placement) (seal.Inputs, error) {
	recipient, enrolled := s.app.repo.Recipients[p.Host]
	if !enrolled {
		return seal.Inputs{}, fault.WithHint(fmt.Errorf("%s has no recipient in hosts/", p.Host), "salvor host add "+p.Host+" enrols it")
	}
	n, parts := s.needs(stack), map[string][]byte{}
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

// secretInputs adds what stands in Git for a stack's secrets and for its
// repositories' passwords.
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
		name := "secrets/" + stack + ".env" // all that are in the file are one input
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

// there is nothing for a secret that does not exist: whoever opens it says so.
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
func (s *sealer) Seal(ctx context.Context, lock fleet.Lock, stacks []string, consent map[string]agentapi.Consent) (map[string][]byte, fleet.Lock, error) {
	next := lock.Copy()
	files := map[string][]byte{}
	if s.made == nil {
		s.made = map[string][]byte{}
	}
	for _, name := range stacks {
		p, changed, err := s.repositories(name, next.Stacks[name], consent[name])
		if err != nil {
			return nil, next, err
		}
		maps.Copy(s.made, changed)
		maps.Copy(files, changed)
		next.Stacks[name] = p
		sealed, err := s.sealStack(ctx, name, p)
		if err != nil {
			return nil, next, fmt.Errorf("seal %s for %s: %w", name, p.Host, err)
		}
		where := seal.Placement{Host: p.Host, Stack: name}.Path()
		files[where], s.made[where] = sealed, sealed
		s.dropOthers(name, p.Host, files)
	}
	return files, next, nil
}

// dropOthers removes the seals of hosts that have the stack no longer.
func (s *sealer) dropOthers(stack, host string, files map[string][]byte) {
	old, err := filepath.Glob(filepath.Join(s.app.export, "sealed", "*", stack+".age"))
	if err != nil {
		return // the pattern is ours and valid
	}
	for _, f := range old {
		if dir := filepath.Base(filepath.Dir(f)); dir != host && dir != "recovery" {
			files[path.Join("sealed", dir, stack+".age")] = nil
		}
	}
}

func (s *sealer) sealStack(ctx context.Context, stack string, p fleet.Placement) ([]byte, error) {
	in, err := s.inputs(stack, p)
	if err != nil {
		return nil, err
	}
	file := agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{}, Repositories: map[string][]byte{}, Registries: map[string]agentapi.SealedLogin{}, Secrets: map[string][]byte{}, Env: map[string][]byte{}}
	n := s.needs(stack)
	for _, r := range n.remotes {
		if file.Remotes[r.Name], err = s.sealRemote(ctx, r); err != nil {
			return nil, err
		}
	}
	for _, r := range n.registries {
		login, err := s.sealLogin(ctx, r)
		if err != nil {
			return nil, err
		}
		file.Registries[r.Name] = login
	}
	recovery, err := s.recovery(stack)
	if err != nil {
		return nil, err
	}
	for _, one := range repositoriesOf(p) {
		repo, ok := recovery.Find(one.id)
		if !ok {
			return nil, fmt.Errorf("%s has no password of repository %s", seal.RecoveryPath(stack), one.id)
		}
		file.Repositories[one.id] = repo.Password.Reveal()
	}
	if err := s.sealSecrets(ctx, stack, n, &file); err != nil {
		return nil, err
	}
	return seal.Seal(file, in)
}

func (s *sealer) sealRemote(ctx context.Context, r fleet.Remote) (agentapi.SealedRemote, error) {
	sealed := agentapi.SealedRemote{Type: r.Type, Options: map[string][]byte{}}
	if err := s.app.allowRemote(ctx, r); err != nil {
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
