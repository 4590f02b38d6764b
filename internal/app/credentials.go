package app

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

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

// asDeclared returns a remote as fleet.yaml has it.
func (a *App) asDeclared(r fleet.Remote) fleet.Remote {
	if d, is := a.Checkout.Fleet.Remote(r.Name); is {
		return d
	}
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

// invalidCredentials are the findings about what hosts are given in place of a
// remote's own: only as whom and with what it is reached, never where it is.
func (a *App) invalidCredentials(r fleet.Remote, declared storage.Remotes) []finding.Finding {
	var found []finding.Finding
	for _, h := range handedOuts(r) {
		err := a.checkCredential(r, h.option)
		if err == nil {
			remotes := maps.Clone(declared)
			remotes[r.Name] = unresolved(with(r, h.option))
			err = remotes.CheckOne(r.Name)
		}
		if err != nil {
			found = append(found, a.remoteFinding(h.at, "the remote "+r.Name+" for "+h.to+": ", err))
		}
	}
	return found
}

func (a *App) checkCredential(r fleet.Remote, own fleet.Credential) error {
	can := storage.Credentials(r.Type)
	if len(can) == 0 {
		err := fmt.Errorf("a remote of type %s has no credential", r.Type)
		if r.Type == "crypt" {
			err = fault.WithHint(errors.New("a crypt remote has one password for all its readers"), "give the credential to the remote that it wraps")
		}
		return err
	}
	for _, option := range slices.Sorted(maps.Keys(own)) {
		if !slices.Contains(can, option) {
			err := fault.WithHint(fmt.Errorf("%s is not a credential: it is the same for all users of the remote", option),
				"what a credential for "+r.Type+" may have: "+strings.Join(can, ", "))
			return &storage.OptionError{Option: option, Err: err}
		}
		if name, is := own[option].Secret(); is {
			if err := a.Identity.Store.Deliverable(name); err != nil {
				return &storage.OptionError{Option: option, Err: err}
			}
		}
	}
	return nil
}
