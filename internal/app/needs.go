package app

import (
	"maps"
	"slices"
	"strings"

	"salvor/internal/checkout"
	"salvor/internal/fleet"
	"salvor/internal/identity"
	"salvor/internal/project"
	"salvor/internal/reach"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// Needs says which secrets are needed, by whom, and what stands for them in Git. No
// secret is opened for it.
type Needs struct {
	checkout *checkout.Checkout
	identity *identity.Identity
	stacks   map[string]project.Rendered // by name, those that load
	made     map[string][]byte           // files that come before the commit's
}

// NewNeeds returns what the stacks of a checkout need, as they are rendered.
func NewNeeds(c *checkout.Checkout, id *identity.Identity, stacks map[string]project.Rendered) *Needs {
	return &Needs{checkout: c, identity: id, stacks: stacks}
}

// Over returns what is needed where some files are made already, nil for none.
func (a *Needs) Over(made map[string][]byte) *Needs {
	over := *a
	over.made = map[string][]byte{}
	over.add(a.made)
	over.add(made)
	return &over
}

// add puts files before the commit's.
func (a *Needs) add(made map[string][]byte) { maps.Copy(a.made, made) }

// A SecretUse is one place where a secret is needed.
type SecretUse struct {
	Stack    string         `json:"stack,omitempty"`
	Service  string         `json:"service,omitempty"` // "" for a stack's environment
	Host     string         `json:"host,omitempty"`    // where the stack is placed, "" for nowhere yet
	OnChange fleet.OnChange `json:"on_change,omitempty"`
	Fleet    string         `json:"fleet,omitempty"` // "remote drive", "registry ghcr.io": what of fleet.yaml names it
}

// String is "blog/db", "blog (environment)" or "remote drive".
func (u SecretUse) String() string {
	switch {
	case u.Fleet != "":
		return u.Fleet
	case u.Service == "":
		return u.Stack + " (environment)"
	}
	return u.Stack + "/" + u.Service
}

// SecretUses returns where a secret is needed, named as for SetSecret: services
// that list it, stacks whose Compose file interpolates it, and what of fleet.yaml
// refers to it. They are sorted.
func (a *Needs) SecretUses(name string) []SecretUse {
	uses := a.fleetUses(name)
	of, key, isEnv := a.identity.Store.Variable(name)
	whole := "" // the YAML file that holds it, which may be mounted as such
	if fleet.SecretInYAML(name) {
		whole, _ = a.identity.Store.FileOf(name) // a name like that has one
	}
	for stack, rendered := range a.stacks {
		ours := isEnv && stack == of
		uses = append(uses, a.serviceUses(stack, func(m project.SecretMount) bool {
			file, isFile := m.File()
			return isFile && (file == name || m.Secret == whole) || ours && m.Secret == key
		})...)
		if ours && slices.Contains(rendered.Project.Env, key) {
			uses = append(uses, SecretUse{Stack: stack, Host: a.checkout.Lock.Stacks[stack].Host, OnChange: fleet.ChangeRecreate})
		}
	}
	slices.SortFunc(uses, func(a, b SecretUse) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(uses)
}

// serviceUses returns the services of a stack that mount a secret.
func (a *Needs) serviceUses(stack string, isIt func(project.SecretMount) bool) []SecretUse {
	var uses []SecretUse
	rendered := a.stacks[stack].Project
	for _, m := range rendered.Secrets {
		if !isIt(m) {
			continue
		}
		u := SecretUse{Stack: stack, Service: m.Service, Host: a.checkout.Lock.Stacks[stack].Host}
		for _, s := range rendered.Services {
			if s.Name == m.Service {
				u.OnChange = s.OnChange
			}
		}
		uses = append(uses, u)
	}
	return uses
}

func (a *Needs) fleetUses(name string) []SecretUse {
	f, uses := &a.checkout.Fleet, []SecretUse(nil)
	add := func(what string, settings ...secret.Setting) {
		for _, s := range settings {
			if ref, ok := s.Secret(); ok && ref == name {
				uses = append(uses, SecretUse{Fleet: what})
			}
		}
	}
	for _, r := range f.Remotes {
		for _, s := range r.Options {
			add("remote "+r.Name, s)
		}
		for _, h := range storage.HostCredentials(r) {
			for _, s := range h.Options {
				add("remote "+r.Name+" for "+h.To, s)
			}
		}
	}
	for _, r := range f.Registries {
		add("registry "+r.Name, r.Username, r.Password)
	}
	if name == reach.SSHKeyName && reach.Marked(a.checkout.LetIn, reach.SSHKeyComment) != "" {
		uses = append(uses, SecretUse{Fleet: "ssh to every host"})
	}
	if name == signKeyName && len(a.checkout.FleetSigners) > 0 {
		uses = append(uses, SecretUse{Fleet: "the fleet's signatures"})
	}
	for id, s := range f.Vaults {
		add("vault id "+id, s)
	}
	add("git.key", f.Git.Key)
	return uses
}

// variable returns whose variable a secret is, if it is one of a stack.
func (a *Needs) variable(name string) (stack, key string, is bool) {
	return a.identity.Store.Variable(name)
}
