package needs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/storage"
)

// File reads a file of the repository, made ones first; nil when there is none.
func (n *Needs) File(name string) ([]byte, error) {
	if content, ok := n.made[name]; ok {
		return content, nil
	}
	content, err := os.ReadFile(filepath.Join(n.checkout.Export, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

// Store opens secrets as they are with what was made.
func (n *Needs) Store() *secretstore.Store { return n.identity.Store.Over(n.made) }

// Signed reads a sealed file with its signature; the zero one when there is none.
func (n *Needs) Signed(name string) (seal.Signed, error) {
	file, err := n.File(name)
	if err != nil || file == nil {
		return seal.Signed{}, err
	}
	signature, err := n.File(seal.SignaturePath(name))
	return seal.Signed{File: file, Signature: signature}, err
}

// A Need is what a stack needs of the fleet's secrets on a host.
type Need struct {
	Remotes    []fleet.Remote // targets', the record's, that of shared volumes, and those they wrap
	Registries []fleet.Registry
	Files      []string       // encrypted files that services mount
	Env        []string       // keys of secrets/<stack>.env
	Mounts     []fleet.Mount  // of a host's own, those with credentials
	ReadToken  secret.Setting // of a host's own: with which it reads the repository
	Ingress    secret.Setting // of a host's own: with which it publishes routes
}

// Owner returns the declared host whose own data a name is of.
func (n *Needs) Owner(name string) (fleet.Host, bool) {
	host, own := fleet.OwnerOf(name)
	if !own {
		return fleet.Host{}, false
	}
	h, _ := n.checkout.Fleet.Host(host)
	return h, true
}

// Targets returns the snapshot targets of a stack, or of a host's own data: none where it
// keeps none.
func (n *Needs) Targets(stack string) []fleet.Target {
	if h, own := n.Owner(stack); own && len(h.Protect) == 0 {
		return nil
	}
	return n.checkout.Fleet.Snapshots
}

// Of returns what a stack needs on a host under lock.
func (n *Needs) Of(stack, host string, lock fleet.Lock) Need {
	f := &n.checkout.Fleet
	rendered := n.stacks[stack]
	var need Need
	var names []string
	if h, own := n.Owner(stack); own {
		need.ReadToken = h.ReadToken
		if f.Publishes(lock, host) {
			need.Ingress = f.Ingress.Token
		}
		need.Mounts = slices.DeleteFunc(slices.Clone(h.Mounts), func(m fleet.Mount) bool { return m.Credentials == "" })
	} else {
		names = append(names, f.Record.Remote)
	}
	for _, t := range n.Targets(stack) {
		names = append(names, t.Where.Remote)
	}
	if slices.ContainsFunc(rendered.Volumes, func(v project.Volume) bool { return v.Protect == fleet.Shared }) {
		names = append(names, f.Shared.Remote)
	}
	for _, r := range storage.WithWrapped(f, names) {
		need.Remotes = append(need.Remotes, storage.ForHost(r, host, stack))
	}
	for _, r := range f.Registries {
		if slices.ContainsFunc(rendered.Project.Services, func(svc project.Service) bool {
			registry, _ := project.Home(svc.Image)
			return registry == r.Name
		}) {
			need.Registries = append(need.Registries, r)
		}
	}
	need.Env = rendered.Project.SecretEnv()
	for _, m := range rendered.Project.Secrets {
		if _, isFile := m.File(); isFile {
			need.Files = append(need.Files, m.Secret)
		} else {
			need.Env = append(need.Env, m.Secret)
		}
	}
	slices.Sort(need.Files)
	slices.Sort(need.Env)
	need.Files, need.Env = slices.Compact(need.Files), slices.Compact(need.Env)
	return need
}

// Inputs is what a stack's seal is made from under lock, without opening anything.
func (n *Needs) Inputs(stack string, lock fleet.Lock) (seal.Inputs, error) {
	p, _ := lock.Placement(stack)
	recipient, enrolled := n.checkout.Recipients[p.Host]
	if !enrolled {
		return seal.Inputs{}, fault.WithHint(fmt.Errorf("%s has no recipient in hosts/", p.Host), "salvor host add "+p.Host+" enrols it")
	}
	need, parts := n.Of(stack, p.Host, lock), map[string][]byte{}
	for _, r := range need.Remotes {
		parts["remote "+r.Name] = []byte(r.Type)
		for option, setting := range r.Options {
			if err := n.setting(parts, "remote "+r.Name+" "+option, setting); err != nil {
				return seal.Inputs{}, err
			}
		}
	}
	for _, r := range need.Registries {
		if err := errors.Join(n.setting(parts, "registry user "+r.Name, r.Username), n.setting(parts, "registry password "+r.Name, r.Password)); err != nil {
			return seal.Inputs{}, err
		}
	}
	if err := n.hostInputs(parts, need); err != nil {
		return seal.Inputs{}, err
	}
	for target, id := range p.Repositories {
		parts["repository "+target] = []byte(id)
	}
	for target, ids := range p.Former {
		parts["former repositories "+target] = []byte(strings.Join(ids, " "))
	}
	if err := n.secretInputs(parts, stack, need); err != nil {
		return seal.Inputs{}, err
	}
	return seal.Inputs{Placement: seal.Placement{Host: p.Host, Stack: stack, Epoch: p.Epoch}, Recipients: []string{recipient}, Parts: parts}, nil
}

// hostInputs adds what only a host's own seal has.
func (n *Needs) hostInputs(parts map[string][]byte, need Need) error {
	for name, token := range map[string]secret.Setting{"git.read_token": need.ReadToken, "ingress.token": need.Ingress} {
		if token.IsZero() {
			continue
		}
		if err := n.setting(parts, name, token); err != nil {
			return err
		}
	}
	for _, m := range need.Mounts {
		if err := n.setting(parts, "mount "+m.Name, m.Credential()); err != nil {
			return err
		}
	}
	return nil
}

// secretInputs adds what Git has of a stack's secrets and for its repositories'
// passwords.
func (n *Needs) secretInputs(parts map[string][]byte, stack string, need Need) error {
	recovery, err := n.File(seal.RecoveryPath(stack))
	if err != nil {
		return err
	}
	parts[seal.RecoveryPath(stack)] = recovery
	for _, file := range need.Files {
		if parts[file], err = there(n.Store().SealedAt(file)); err != nil {
			return err
		}
	}
	if len(need.Env) == 0 {
		return nil
	}
	parts["env"] = []byte(strings.Join(need.Env, "\n"))
	for _, key := range need.Env {
		name := fleet.EnvFile(stack) // all that are in the file are one input
		if _, printed := n.Command(stack + "/" + key); printed {
			name = "secrets/" + stack + "/" + key
		}
		if _, done := parts[name]; done {
			continue
		}
		if parts[name], err = there(n.Store().Sealed(stack + "/" + key)); err != nil {
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

func (n *Needs) setting(parts map[string][]byte, name string, v secret.Setting) error {
	parts[name] = []byte(v.String())
	ref, isSecret := v.Secret()
	if !isSecret {
		return nil
	}
	content, err := there(n.Store().Sealed(ref))
	parts[name+" sealed"] = content
	return err
}

// HostOf returns the host that a stack is declared on, else the one that it is placed on,
// "" for none.
func (n *Needs) HostOf(st fleet.Stack) string {
	if st.Host != "" {
		return st.Host
	}
	return n.checkout.Lock.Stacks[st.Name].Host
}

// EachRecovery visits sealed/recovery, also the files of stacks that are declared
// no longer.
func (n *Needs) EachRecovery(visit func(stack string, sealed seal.Signed) error) error {
	entries, err := os.ReadDir(filepath.Join(n.checkout.Export, fleet.SealedDir, "recovery"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		stack, ours := strings.CutSuffix(e.Name(), ".age")
		if !ours {
			continue
		}
		sealed, err := n.Signed(seal.RecoveryPath(stack))
		if err == nil {
			err = visit(stack, sealed)
		}
		if err != nil {
			return err
		}
	}
	return err
}

// AsDeclared returns a remote as fleet.yaml has it.
func (n *Needs) AsDeclared(r fleet.Remote) fleet.Remote {
	if d, is := n.checkout.Fleet.Remote(r.Name); is {
		return d
	}
	return r
}
