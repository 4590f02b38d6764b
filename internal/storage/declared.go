package storage

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/suggest"
)

// Declared returns a declared remote. The error about another one names the remote that
// was probably meant.
func Declared(f *fleet.Fleet, name string) (fleet.Remote, error) {
	r, declared := f.Remote(name)
	if declared {
		return r, nil
	}
	var known []string
	for _, each := range f.Remotes {
		known = append(known, each.Name)
	}
	return r, fault.WithHint(fmt.Errorf("fleet.yaml declares no remote %q%s", name, suggest.DidYouMean(name, known)), "declare it under remotes: in fleet.yaml")
}

// Metered reports whether any remote of a fleet counts the calls to it, as Google Drive
// does by its quota.
func Metered(f *fleet.Fleet) bool {
	return slices.ContainsFunc(f.Remotes, func(r fleet.Remote) bool { return r.Type == typeDrive })
}

// Metered reports whether a remote counts the calls to it.
func (r Remotes) Metered(name string) bool { return r[r.Base(name)].Type == typeDrive }

// WithWrapped returns the declared remotes of those names, each once, with those that
// crypt remotes wrap.
func WithWrapped(f *fleet.Fleet, names []string) []fleet.Remote {
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

// ForHost returns a remote as a host is given it for one of its stacks. Where fleet.yaml
// has a credential for the stack, or for the host, no secret of the remote's own is
// left in it: that one stays with the operators.
func ForHost(r fleet.Remote, host, stack string) fleet.Remote {
	own, is := r.Stacks[stack]
	if !is {
		own, is = r.Hosts[host]
	}
	if is {
		r = WithCredential(r, own)
	}
	r.Hosts, r.Stacks = nil, nil
	return r
}

// WithCredential returns a remote with another credential.
func WithCredential(r fleet.Remote, own fleet.Credential) fleet.Remote {
	options := maps.Clone(r.Options)
	maps.DeleteFunc(options, func(option string, _ secret.Setting) bool { return IsSecret(r.Type, option) })
	maps.Copy(options, own)
	r.Options = options
	return r
}

// A HostCredential is one credential that fleet.yaml has for hosts.
type HostCredential struct {
	To      string   // "host alpha", "stack notes"
	At      []string // its keys in fleet.yaml
	Options fleet.Credential
}

// HostCredentials are the credentials of a remote that are not the operators', sorted.
func HostCredentials(r fleet.Remote) []HostCredential {
	var all []HostCredential
	for _, host := range slices.Sorted(maps.Keys(r.Hosts)) {
		all = append(all, HostCredential{"host " + host, []string{"remotes", r.Name, "hosts", host}, r.Hosts[host]})
	}
	for _, stack := range slices.Sorted(maps.Keys(r.Stacks)) {
		all = append(all, HostCredential{"stack " + stack, []string{"remotes", r.Name, "stacks", stack}, r.Stacks[stack]})
	}
	return all
}

// Unresolved is a remote with the names of its secrets in their place.
func Unresolved(r fleet.Remote) Remote {
	options := map[string]secret.Value{}
	for name, setting := range r.Options {
		options[name] = secret.NewString(setting.String())
	}
	return Remote{Type: r.Type, Options: options}
}
