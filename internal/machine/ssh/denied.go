package ssh

import (
	"errors"
	"regexp"
)

// Why says what keeps a user out of a host that answers.
type Why int

// The reasons for which a first login can do something.
const (
	NoKey      Why = iota + 1 // none of the keys is accepted
	MustChange                // the user's password must be changed before anything runs
	SudoAsks                  // the user can't become root: sudo asks for a password, or refuses
)

type deniedError struct {
	error
	why Why
}

// Unwrap returns the error, a machine.ErrDenied.
func (d *deniedError) Unwrap() error { return d.error }

func because(why Why, err error) error { return &deniedError{err, why} }

// WhyDenied returns why a host denied access, 0 where err is something else.
func WhyDenied(err error) Why {
	var d *deniedError
	if errors.As(err, &d) {
		return d.why
	}
	return 0
}

// expired is what sshd and PAM print in place of running anything.
var expired = regexp.MustCompile(`(?i)password change required|password has expired|required to change your password|password is expired`)

func mustChange(said string) bool { return expired.MatchString(said) }
