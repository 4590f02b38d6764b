package check

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/storage"
)

// invalidCredentials are the findings about what hosts are given in place of a
// remote's own: only as whom and with what it is reached, never where it is.
func (c commit) invalidCredentials(r fleet.Remote, declared storage.Remotes) []finding.Finding {
	var found []finding.Finding
	for _, h := range storage.HostCredentials(r) {
		err := c.checkCredential(r, h.Options)
		if err == nil {
			remotes := maps.Clone(declared)
			remotes[r.Name] = storage.Unresolved(storage.WithCredential(r, h.Options))
			err = remotes.CheckOne(r.Name)
		}
		if err != nil {
			found = append(found, c.remoteFinding(h.At, "the remote "+r.Name+" for "+h.To+": ", err))
		}
	}
	return found
}

func (c commit) checkCredential(r fleet.Remote, own fleet.Credential) error {
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
			if err := c.names.Deliverable(name); err != nil {
				return &storage.OptionError{Option: option, Err: err}
			}
		}
	}
	return nil
}
