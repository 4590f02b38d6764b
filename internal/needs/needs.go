// Package needs says which secrets the fleet and its stacks need, and which files of the
// repository stand for them. No secret is opened for it.
package needs

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/project"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/secretnames"
	"salvor/internal/storage"
)

// Needs are those of a checkout. What was made and is not committed yet comes before what
// the commit has.
type Needs struct {
	checkout *checkout.Checkout
	identity *identity.Identity
	stacks   map[string]project.Rendered // by name, those that load
	made     map[string][]byte           // files that come before the commit's
}

// New returns what the stacks of a checkout need, as they are rendered.
func New(c *checkout.Checkout, id *identity.Identity, stacks map[string]project.Rendered) *Needs {
	return &Needs{checkout: c, identity: id, stacks: stacks}
}

// Over returns what is needed where some files are made already, nil for none.
func (n *Needs) Over(made map[string][]byte) *Needs {
	over := *n
	over.made = map[string][]byte{}
	over.Add(n.made)
	over.Add(made)
	return &over
}

// Add puts files before the commit's.
func (n *Needs) Add(made map[string][]byte) { maps.Copy(n.made, made) }

// A Use is one place where a secret is needed.
type Use struct {
	Stack    string         `json:"stack,omitempty"`
	Service  string         `json:"service,omitempty"` // "" for a stack's environment
	Host     string         `json:"host,omitempty"`    // where the stack is placed, "" for nowhere yet
	OnChange fleet.OnChange `json:"on_change,omitempty"`
	Fleet    string         `json:"fleet,omitempty"` // "remote drive", "registry ghcr.io": what of fleet.yaml names it
}

// String is "blog/db", "blog (environment)" or "remote drive".
func (u Use) String() string {
	switch {
	case u.Fleet != "":
		return u.Fleet
	case u.Service == "":
		return u.Stack + " (environment)"
	}
	return u.Stack + "/" + u.Service
}

// Uses returns where a secret is needed, named as for salvor secret set: services
// that list it, stacks whose Compose file interpolates it, and what of fleet.yaml
// refers to it. They are sorted.
func (n *Needs) Uses(name string) []Use {
	uses := n.fleetUses(name)
	of, key, isEnv := n.identity.Store.Variable(name)
	for stack, rendered := range n.stacks {
		uses = append(uses, n.serviceUses(stack, n.mountOf(name, stack))...)
		if isEnv && stack == of && slices.Contains(rendered.Project.Env, key) {
			uses = append(uses, Use{Stack: stack, Host: n.checkout.Lock.Stacks[stack].Host, OnChange: fleet.ChangeRecreate})
		}
	}
	slices.SortFunc(uses, func(a, b Use) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(uses)
}

// mountOf tells which mounts of a stack's services are of a secret.
func (n *Needs) mountOf(name, stack string) func(project.SecretMount) bool {
	of, key, isEnv := n.identity.Store.Variable(name)
	whole := "" // the YAML file that holds it, which may be mounted as such
	if fleet.SecretInYAML(name) {
		whole, _ = n.identity.Store.FileOf(name) // a name like that has one
	}
	return func(m project.SecretMount) bool {
		file, isFile := m.File()
		return isFile && (file == name || m.Secret == whole) || isEnv && stack == of && m.Secret == key
	}
}

// serviceUses returns the services of a stack that mount a secret.
func (n *Needs) serviceUses(stack string, isIt func(project.SecretMount) bool) []Use {
	var uses []Use
	rendered := n.stacks[stack].Project
	for _, m := range rendered.Secrets {
		if !isIt(m) {
			continue
		}
		u := Use{Stack: stack, Service: m.Service, Host: n.checkout.Lock.Stacks[stack].Host}
		for _, s := range rendered.Services {
			if s.Name == m.Service {
				u.OnChange = s.OnChange
			}
		}
		uses = append(uses, u)
	}
	return uses
}

func (n *Needs) fleetUses(name string) []Use {
	f, uses := &n.checkout.Fleet, []Use(nil)
	add := func(what string, settings ...secret.Setting) {
		for _, s := range settings {
			if ref, ok := s.Secret(); ok && ref == name {
				uses = append(uses, Use{Fleet: what})
			}
		}
	}
	for _, r := range f.Remotes {
		add("remote "+r.Name, slices.Collect(maps.Values(r.Options))...)
		for _, h := range storage.HostCredentials(r) {
			add("remote "+r.Name+" for "+h.To, slices.Collect(maps.Values(h.Options))...)
		}
	}
	for _, r := range f.Registries {
		add("registry "+r.Name, r.Username, r.Password)
	}
	if name == reach.SSHKeyName && reach.Marked(n.checkout.LetIn, reach.SSHKeyComment) != "" {
		uses = append(uses, Use{Fleet: "ssh to every host"})
	}
	if name == secretnames.SignKey && len(n.checkout.FleetSigners) > 0 {
		uses = append(uses, Use{Fleet: "the fleet's signatures"})
	}
	addMounts(f.Hosts, add)
	for id, s := range f.Vaults {
		add("vault id "+id, s)
	}
	add("git.key", f.Git.Key)
	add("git.token", f.Git.Token)
	add("git.read_token", f.Git.ReadToken)
	add("ingress.token", f.Ingress.Token)
	if f.Tailnet != nil {
		add("tailnet.auth", f.Tailnet.Auth)
	}
	return uses
}

func addMounts(hosts []fleet.Host, add func(what string, settings ...secret.Setting)) {
	for _, h := range hosts {
		for _, m := range h.Mounts {
			if m.Credentials != "" {
				add("mount "+m.Name+" of "+h.Name, m.Credential())
			}
		}
	}
}

// Variable returns whose variable a secret is, if it is one of a stack.
func (n *Needs) Variable(name string) (stack, key string, is bool) {
	return n.identity.Store.Variable(name)
}

// Rendered returns the stacks that load, as they are rendered, by name.
func (n *Needs) Rendered() map[string]project.Rendered { return n.stacks }

// Unloaded returns a stack that does not load and may use a secret, "" for none: the one whose
// variable the secret is, or one whose files name it.
func (n *Needs) Unloaded(name string) string {
	of, _, isVariable := n.Variable(name)
	for _, st := range n.checkout.Fleet.Stacks {
		if _, loads := n.stacks[st.Name]; !loads && (isVariable && of == st.Name || !isVariable && n.named(st, name)) {
			return st.Name
		}
	}
	return ""
}

// named reports whether the text of a stack's YAML files names a secret of the fleet, as a
// whole or by its file.
func (n *Needs) named(st fleet.Stack, name string) bool {
	if fleet.SecretInYAML(name) {
		file, _ := n.identity.Store.FileOf(name) // a name like that has one
		name = strings.TrimPrefix(file, fleet.SecretDir+"/")
	}
	root, err := os.OpenRoot(n.checkout.Export)
	if err != nil {
		return true // nothing is known
	}
	defer root.Close()
	found := false
	err = fs.WalkDir(root.FS(), st.Dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(p) != ".yaml" && path.Ext(p) != ".yml" {
			return err
		}
		content, err := root.ReadFile(p)
		found = found || bytes.Contains(content, []byte(name))
		return err
	})
	return found || err != nil
}

// Render has a stack need what it does as it is rendered here.
func (n *Needs) Render(stack string, r project.Rendered) { n.stacks[stack] = r }

// Command returns what is declared of a secret that a program prints.
func (n *Needs) Command(name string) (argv []string, ok bool) {
	s, _ := n.checkout.Fleet.Secret(name)
	return s.Command, s.Command != nil
}
