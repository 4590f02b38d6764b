package app

import (
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/reach"
	"salvor/internal/secret"
)

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
func (a *App) SecretUses(name string) []SecretUse {
	uses := a.fleetUses(name)
	of, key, isEnv := a.Identity.Store.Variable(name)
	whole := "" // the YAML file that holds it, which may be mounted as such
	if fleet.SecretInYAML(name) {
		whole, _ = a.Identity.Store.FileOf(name) // a name like that has one
	}
	for stack, rendered := range a.stacks {
		ours := isEnv && stack == of
		uses = append(uses, a.serviceUses(stack, func(m project.SecretMount) bool {
			file, isFile := m.File()
			return isFile && (file == name || m.Secret == whole) || ours && m.Secret == key
		})...)
		if ours && slices.Contains(rendered.Project.Env, key) {
			uses = append(uses, SecretUse{Stack: stack, Host: a.Checkout.Lock.Stacks[stack].Host, OnChange: fleet.ChangeRecreate})
		}
	}
	slices.SortFunc(uses, func(a, b SecretUse) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(uses)
}

// serviceUses returns the services of a stack that mount a secret.
func (a *App) serviceUses(stack string, isIt func(project.SecretMount) bool) []SecretUse {
	var uses []SecretUse
	rendered := a.stacks[stack].Project
	for _, m := range rendered.Secrets {
		if !isIt(m) {
			continue
		}
		u := SecretUse{Stack: stack, Service: m.Service, Host: a.Checkout.Lock.Stacks[stack].Host}
		for _, s := range rendered.Services {
			if s.Name == m.Service {
				u.OnChange = s.OnChange
			}
		}
		uses = append(uses, u)
	}
	return uses
}

func (a *App) fleetUses(name string) []SecretUse {
	f, uses := &a.Checkout.Fleet, []SecretUse(nil)
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
		for _, h := range handedOuts(r) {
			for _, s := range h.option {
				add("remote "+r.Name+" for "+h.to, s)
			}
		}
	}
	for _, r := range f.Registries {
		add("registry "+r.Name, r.Username, r.Password)
	}
	if name == reach.SSHKeyName && reach.Marked(a.Checkout.LetIn, reach.SSHKeyComment) != "" {
		uses = append(uses, SecretUse{Fleet: "ssh to every host"})
	}
	if name == signKeyName && len(a.Checkout.FleetSigners) > 0 {
		uses = append(uses, SecretUse{Fleet: "the fleet's signatures"})
	}
	for id, s := range f.Vaults {
		add("vault id "+id, s)
	}
	add("git.key", f.Git.Key)
	return uses
}
