package check

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/storage"
)

// invalidRegistries returns a finding for each registry whose login is a secret that
// stays with the operators.
func (c commit) invalidRegistries() []finding.Finding {
	var found []finding.Finding
	for _, r := range c.repo.Fleet.Registries {
		for option, setting := range map[string]secret.Setting{"username": r.Username, "password": r.Password} {
			name, isSecret := setting.Secret()
			if !isSecret {
				continue
			}
			if err := c.names.Deliverable(name); err != nil {
				found = append(found, finding.Finding{Code: finding.RegistryInvalid, Severity: finding.Fatal,
					Subject: c.repo.Place("registries", r.Name, option).String(), Text: "the registry " + r.Name + ": " + err.Error(), Fix: fault.Hint(err)})
			}
		}
	}
	return found
}

// invalidRemotes returns a finding for each remote that can't work as it is
// declared. No secret is opened: of an option that is one, only that it is there
// counts.
func (c commit) invalidRemotes() []finding.Finding {
	all := storage.Remotes{}
	for _, r := range c.repo.Fleet.Remotes {
		all[r.Name] = storage.Unresolved(r)
	}
	var found []finding.Finding
	for _, r := range c.repo.Fleet.Remotes {
		err := errors.Join(c.checkSettings(r), storage.CheckBandwidth(r))
		if err == nil {
			err = all.CheckOne(r.Name)
		}
		if err != nil {
			found = append(found, c.remoteFinding([]string{"remotes", r.Name}, "the remote "+r.Name+": ", err))
			continue
		}
		found = append(found, c.invalidCredentials(r, all)...)
	}
	return found
}

// checkSettings refuses what a remote's options in fleet.yaml may not say: an
// address that is a secret, which who can push could replace unseen, and a secret
// that stays with the operators.
func (c commit) checkSettings(r fleet.Remote) error {
	for _, option := range slices.Sorted(maps.Keys(r.Options)) {
		name, isSecret := r.Options[option].Secret()
		if !isSecret {
			continue
		}
		err := c.names.Deliverable(name)
		if storage.IsAddress(r.Type, option) {
			err = fault.WithHint(fmt.Errorf("%s sets where the remote is, and Git does not show changes inside a secret", option), "write "+option+" in plain text")
		}
		if err != nil {
			return &storage.OptionError{Option: option, Err: err}
		}
	}
	return nil
}

// remoteFinding is about what fleet.yaml says at a place.
func (c commit) remoteFinding(at []string, about string, err error) finding.Finding {
	f := finding.Finding{Code: finding.RemoteInvalid, Severity: finding.Fatal, Subject: c.repo.Place(at...).String(),
		Text: about + err.Error(), Fix: "docs/snapshots.md shows what each type of remote needs"}
	if about := new(storage.OptionError); errors.As(err, &about) {
		f.Subject = c.repo.Place(slices.Concat(at, []string{about.Option})...).String()
	}
	if hint := fault.Hint(err); hint != "" {
		f.Fix = hint
	}
	switch {
	case errors.Is(err, storage.ErrClient), errors.Is(err, storage.ErrToken):
		f.Fix = "salvor remote renew " + at[1] + " asks for an OAuth client of your own, and for a new login"
	case errors.Is(err, storage.ErrNoStorage):
		f.Fix = "set team_drive to the id of a shared drive of which it is a member, or impersonate to a user of your domain"
	case errors.Is(err, storage.ErrHostKey):
		f.Fix = "salvor remote test " + at[1] + " shows the server's key and writes it there"
	}
	return f
}
