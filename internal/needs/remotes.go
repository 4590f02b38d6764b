package needs

import (
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// WithWrapped returns the remotes of these names, each once, and those that crypt remotes
// among them wrap.
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

// Given returns a remote as a host is given it for one of its stacks. Where fleet.yaml
// has a credential for the stack, or for the host, no secret of the remote's own is
// left in it: that one stays with the operators.
func Given(r fleet.Remote, host, stack string) fleet.Remote {
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
	maps.DeleteFunc(options, func(option string, _ secret.Setting) bool { return storage.IsSecret(r.Type, option) })
	maps.Copy(options, own)
	r.Options = options
	return r
}

// A Holder is a host or a stack that fleet.yaml has a credential of its own for.
type Holder struct {
	Name       string // "host alpha", "stack notes"
	At         []string
	Credential fleet.Credential
}

// Holders are those of a remote, sorted: hosts first.
func Holders(r fleet.Remote) []Holder {
	var all []Holder
	for _, host := range slices.Sorted(maps.Keys(r.Hosts)) {
		all = append(all, Holder{"host " + host, []string{"remotes", r.Name, "hosts", host}, r.Hosts[host]})
	}
	for _, stack := range slices.Sorted(maps.Keys(r.Stacks)) {
		all = append(all, Holder{"stack " + stack, []string{"remotes", r.Name, "stacks", stack}, r.Stacks[stack]})
	}
	return all
}

// AsDeclared returns a remote as fleet.yaml has it.
func (n *Needs) AsDeclared(r fleet.Remote) fleet.Remote {
	if d, is := n.checkout.Fleet.Remote(r.Name); is {
		return d
	}
	return r
}
