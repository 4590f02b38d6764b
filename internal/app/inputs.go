package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"salvor/internal/card"
	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/storage"
)

// file reads a file of the repository, made ones first; nil when there is none.
func (a *Needs) file(name string) ([]byte, error) {
	if content, ok := a.made[name]; ok {
		return content, nil
	}
	content, err := os.ReadFile(filepath.Join(a.checkout.Export, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// store opens secrets as they are with what was made.
func (a *Needs) store() *secretstore.Store { return a.identity.Store.Over(a.made) }

// signed reads a sealed file with its signature; the zero one when there is none.
func (a *Needs) signed(name string) (seal.Signed, error) {
	file, err := a.file(name)
	if err != nil || file == nil {
		return seal.Signed{}, err
	}
	signature, err := a.file(seal.SignaturePath(name))
	return seal.Signed{File: file, Signature: signature}, err
}

// A Need is what a stack needs of the fleet's secrets on a host.
type Need struct {
	Remotes    []fleet.Remote // targets', the record's and those they wrap
	Registries []fleet.Registry
	Files      []string // encrypted files that services mount
	Env        []string // keys of secrets/<stack>.env
}

// Of returns what a stack needs on a host.
func (a *Needs) Of(stack, host string) Need {
	f := &a.checkout.Fleet
	rendered := a.stacks[stack]
	var n Need
	names := []string{f.Record.Remote}
	for _, t := range f.Snapshots {
		names = append(names, t.Where.Remote)
	}
	for _, r := range storage.WithWrapped(f, names) {
		n.Remotes = append(n.Remotes, storage.ForHost(r, host, stack))
	}
	for _, r := range f.Registries {
		if slices.ContainsFunc(rendered.Project.Services, func(svc project.Service) bool { return registryOf(svc.Image) == r.Name }) {
			n.Registries = append(n.Registries, r)
		}
	}
	n.Env = slices.Clone(rendered.Project.Env)
	for _, m := range rendered.Project.Secrets {
		if _, isFile := m.File(); isFile {
			n.Files = append(n.Files, m.Secret)
		} else {
			n.Env = append(n.Env, m.Secret)
		}
	}
	slices.Sort(n.Files)
	slices.Sort(n.Env)
	n.Files, n.Env = slices.Compact(n.Files), slices.Compact(n.Env)
	return n
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
func (a *Needs) inputsOf(stack string, p fleet.Placement) (seal.Inputs, error) {
	recipient, enrolled := a.checkout.Recipients[p.Host]
	if !enrolled {
		return seal.Inputs{}, fault.WithHint(fmt.Errorf("%s has no recipient in hosts/", p.Host), "salvor host add "+p.Host+" enrols it")
	}
	n, parts := a.Of(stack, p.Host), map[string][]byte{}
	for _, r := range n.Remotes {
		parts["remote "+r.Name] = []byte(r.Type)
		for option, setting := range r.Options {
			if err := a.setting(parts, "remote "+r.Name+" "+option, setting); err != nil {
				return seal.Inputs{}, err
			}
		}
	}
	for _, r := range n.Registries {
		if err := errors.Join(a.setting(parts, "registry user "+r.Name, r.Username), a.setting(parts, "registry password "+r.Name, r.Password)); err != nil {
			return seal.Inputs{}, err
		}
	}
	for target, id := range p.Repositories {
		parts["repository "+target] = []byte(id)
	}
	for target, ids := range p.Former {
		parts["former repositories "+target] = []byte(strings.Join(ids, " "))
	}
	if err := a.secretInputs(parts, stack, n); err != nil {
		return seal.Inputs{}, err
	}
	return seal.Inputs{Placement: seal.Placement{Host: p.Host, Stack: stack, Epoch: p.Epoch}, Recipients: []string{recipient}, Parts: parts}, nil
}

// secretInputs adds what Git has of a stack's secrets and for its repositories'
// passwords.
func (a *Needs) secretInputs(parts map[string][]byte, stack string, n Need) error {
	recovery, err := a.file(seal.RecoveryPath(stack))
	if err != nil {
		return err
	}
	parts[seal.RecoveryPath(stack)] = recovery
	for _, file := range n.Files {
		if parts[file], err = there(a.store().SealedAt(file)); err != nil {
			return err
		}
	}
	if len(n.Env) == 0 {
		return nil
	}
	parts["env"] = []byte(strings.Join(n.Env, "\n"))
	for _, key := range n.Env {
		name := fleet.EnvFile(stack) // all that are in the file are one input
		if _, printed := a.Command(stack + "/" + key); printed {
			name = "secrets/" + stack + "/" + key
		}
		if _, done := parts[name]; done {
			continue
		}
		if parts[name], err = there(a.store().Sealed(stack + "/" + key)); err != nil {
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

func (a *Needs) setting(parts map[string][]byte, name string, v secret.Setting) error {
	parts[name] = []byte(v.String())
	ref, isSecret := v.Secret()
	if !isSecret {
		return nil
	}
	content, err := there(a.store().Sealed(ref))
	parts[name+" sealed"] = content
	return err
}

// asDeclared returns a remote as fleet.yaml has it.
func (a *Needs) asDeclared(r fleet.Remote) fleet.Remote {
	if d, is := a.checkout.Fleet.Remote(r.Name); is {
		return d
	}
	return r
}

func (a *Needs) hostOf(st fleet.Stack) string {
	if st.Host != "" {
		return st.Host
	}
	return a.checkout.Lock.Stacks[st.Name].Host
}

// eachRecovery visits sealed/recovery, also the files of stacks that are declared
// no longer.
func (a *Needs) eachRecovery(visit func(stack string, sealed seal.Signed) error) error {
	entries, err := os.ReadDir(filepath.Join(a.checkout.Export, "sealed", "recovery"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		stack, ours := strings.CutSuffix(e.Name(), ".age")
		if !ours {
			continue
		}
		sealed, err := a.signed(seal.RecoveryPath(stack))
		if err == nil {
			err = visit(stack, sealed)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// Command returns what is declared of a secret that a program prints.
func (a *Needs) Command(name string) (argv []string, ok bool) {
	s, _ := a.checkout.Fleet.Secret(name)
	return s.Command, s.Command != nil
}

// untoldDatabase reports whether a use is a database's password of which it learns
// only when its data is made.
func (a *Needs) untoldDatabase(u SecretUse) bool {
	rendered, known := a.stacks[u.Stack]
	if !known || u.Service == "" || !slices.ContainsFunc(rendered.Volumes, func(v project.Volume) bool { return v.Service == u.Service && v.Method == fleet.Postgres }) {
		return false
	}
	return slices.ContainsFunc(rendered.Project.Services, func(s project.Service) bool { return s.Name == u.Service && len(s.OnRotate) == 0 })
}

func proven(c *checkout.Checkout) (card.Proven, error) {
	content, err := c.File(card.ProvenPath)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return card.DecodeProven(content)
}

// delivered opens secrets for what leaves the operator's computer.
type delivered struct{ store *secretstore.Store }

// Resolve implements secret.Resolver.
func (d delivered) Resolve(ctx context.Context, name string) (secret.Value, error) {
	return d.store.Deliver(ctx, name)
}

// repositoriesOf returns all of a placement's repositories, by target, the
// present one first.
func repositoriesOf(p fleet.Placement) []placedRepository {
	var all []placedRepository
	for _, target := range slices.Sorted(maps.Keys(p.Repositories)) {
		all = append(all, placedRepository{target, p.Repositories[target]})
	}
	for _, target := range slices.Sorted(maps.Keys(p.Former)) {
		for _, id := range slices.Backward(p.Former[target]) {
			all = append(all, placedRepository{target, id})
		}
	}
	return all
}

// A placedRepository is one that a placement names, present or former.
type placedRepository struct{ target, id string }

// takenUp returns the newest repository that the stack's name ever had on a
// target, and those before it as its former ones: which of them has a snapshot is
// not known here.
func takenUp(r seal.Recovery, target string, former map[string][]string) (newest string, _ map[string][]string) {
	var ids []string
	for _, repo := range r.Repositories {
		if repo.Target == target {
			ids = append(ids, repo.ID)
		}
	}
	if len(ids) == 0 {
		return "", former
	}
	if before := ids[:len(ids)-1]; len(before) > 0 {
		if former == nil {
			former = map[string][]string{}
		}
		former[target] = before
	}
	return ids[len(ids)-1], former
}
