package app

import (
	"maps"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

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

// given returns a remote as a host is given it for one of its stacks. Where fleet.yaml
// has a credential for the stack, or for the host, no secret of the remote's own is
// left in it: that one stays with the operators.
func given(r fleet.Remote, host, stack string) fleet.Remote {
	own, is := r.Stacks[stack]
	if !is {
		own, is = r.Hosts[host]
	}
	if is {
		r = with(r, own)
	}
	r.Hosts, r.Stacks = nil, nil
	return r
}

// with returns a remote with another credential.
func with(r fleet.Remote, own fleet.Credential) fleet.Remote {
	options := maps.Clone(r.Options)
	maps.DeleteFunc(options, func(option string, _ secret.Setting) bool { return storage.IsSecret(r.Type, option) })
	maps.Copy(options, own)
	r.Options = options
	return r
}

// A handedOut is one credential that fleet.yaml has for hosts.
type handedOut struct {
	to     string // "host alpha", "stack notes"
	at     []string
	option fleet.Credential
}

// handedOuts are the credentials of a remote that are not the operators', sorted.
func handedOuts(r fleet.Remote) []handedOut {
	var all []handedOut
	for _, host := range slices.Sorted(maps.Keys(r.Hosts)) {
		all = append(all, handedOut{"host " + host, []string{"remotes", r.Name, "hosts", host}, r.Hosts[host]})
	}
	for _, stack := range slices.Sorted(maps.Keys(r.Stacks)) {
		all = append(all, handedOut{"stack " + stack, []string{"remotes", r.Name, "stacks", stack}, r.Stacks[stack]})
	}
	return all
}

// asDeclared returns a remote as fleet.yaml has it.
func (n *Needs) asDeclared(r fleet.Remote) fleet.Remote {
	if d, is := n.checkout.Fleet.Remote(r.Name); is {
		return d
	}
	return r
}
