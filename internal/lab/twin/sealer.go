package twin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/hostspec"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/sign"
)

// A sealer keeps sealed/ in step with placements, as app's does with secrets that a
// commit has. It implements deploy.Sealer.
type sealer struct {
	w       *world
	files   map[string][]byte // of the commit, and what was made since
	targets []fleet.Target
}

var _ deploy.Sealer = (*sealer)(nil)

func (s *sealer) signed(name string) seal.Signed {
	return seal.Signed{File: s.files[name], Signature: s.files[seal.SignaturePath(name)]}
}

func (s *sealer) inputs(stack string, p fleet.Placement) (seal.Inputs, error) {
	recipient := s.w.recipients[p.Host]
	if recipient == "" {
		return seal.Inputs{}, fmt.Errorf("%s has no recipient in hosts/", p.Host)
	}
	parts := map[string][]byte{"remote": []byte(remoteName)}
	for target, id := range p.Repositories {
		parts["repository "+target] = []byte(id)
	}
	for target, ids := range p.Former {
		parts["former repositories "+target] = []byte(strings.Join(ids, " "))
	}
	return seal.Inputs{Placement: seal.Placement{Host: p.Host, Stack: stack, Epoch: p.Epoch}, Recipients: []string{recipient}, Parts: parts}, nil
}

// Stale implements deploy.Sealer.
func (s *sealer) Stale(_ context.Context, lock fleet.Lock) (map[string]string, error) {
	stale := map[string]string{}
	for name, p := range lock.Stacks {
		in, err := s.inputs(name, p)
		if err != nil {
			return nil, err
		}
		sealed := s.signed(in.Placement.Path())
		switch {
		case sealed.File == nil:
			stale[name] = "no sealed file yet"
		case sealed.Current(in, sign.Keys{s.w.key.Public()}) != nil:
			stale[name] = seal.ErrStale.Error()
		case slices.ContainsFunc(s.targets, func(t fleet.Target) bool { return p.Repositories[t.Name] == "" }):
			stale[name] = "no repository yet"
		}
	}
	return stale, nil
}

// Current implements deploy.Sealer.
func (s *sealer) Current(host, stack string) (hostspec.Seal, error) {
	sealed := s.signed(seal.Placement{Host: host, Stack: stack}.Path())
	return hostspec.Seal{File: sealed.File, Signature: sealed.Signature}, nil
}

// Seal implements deploy.Sealer.
func (s *sealer) Seal(ctx context.Context, lock fleet.Lock, stacks []string, _ map[string]project.Consent) (map[string][]byte, fleet.Lock, error) {
	next, files := lock.Copy(), map[string][]byte{}
	for _, name := range stacks {
		p, err := s.repositories(ctx, name, next.Stacks[name])
		if err != nil {
			return nil, next, err
		}
		next.Stacks[name] = p
		in, err := s.inputs(name, p)
		if err != nil {
			return nil, next, err
		}
		content, err := s.content(name, p)
		if err != nil {
			return nil, next, err
		}
		sealed, err := seal.Seal(content, in, s.w.key)
		if err != nil {
			return nil, next, err
		}
		maps.Copy(files, sealed.Files(in.Placement.Path()))
		for _, h := range s.w.hosts {
			if old := (seal.Placement{Host: h.name, Stack: name}).Path(); h.name != p.Host && s.files[old] != nil {
				files[old], files[seal.SignaturePath(old)] = nil, nil
			}
		}
	}
	maps.Copy(s.files, files)
	return files, next, nil
}

// repositories gives a placement a repository on every target.
func (s *sealer) repositories(ctx context.Context, stack string, p fleet.Placement) (fleet.Placement, error) {
	ids := maps.Clone(p.Repositories)
	if ids == nil {
		ids = map[string]string{}
	}
	for _, t := range s.targets {
		if ids[t.Name] == "" {
			id, password := strings.ToLower(randText()[:8]), seal.NewPassword()
			ids[t.Name] = id
			s.w.vault.set(path.Join("repository", id), password)
			if err := s.w.initRepository(ctx, path.Join(t.Where.Path, stack, id), password); err != nil {
				return p, err
			}
		}
	}
	p.Repositories = ids
	return p, nil
}

func (s *sealer) content(stack string, p fleet.Placement) (agentapi.SealedFile, error) {
	token := s.w.vault.token(stack + "/TOKEN")
	file := agentapi.SealedFile{
		Remotes: s.w.vault.remotes(), Repositories: map[string][]byte{}, Registries: map[string]agentapi.SealedLogin{},
		Secrets: map[string][]byte{"TOKEN": token}, Env: map[string][]byte{"TOKEN": token},
	}
	for _, id := range append(slices.Collect(maps.Values(p.Repositories)), slices.Concat(slices.Collect(maps.Values(p.Former))...)...) {
		password, ok := s.w.vault.get(path.Join("repository", id))
		if !ok {
			return file, errors.Join(secret.ErrNotFound, fmt.Errorf("no password of repository %s", id))
		}
		file.Repositories[id] = password.Reveal()
	}
	return file, nil
}
