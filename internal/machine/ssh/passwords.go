package ssh

import (
	"errors"
	"fmt"
	"regexp"

	"golang.org/x/crypto/ssh"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// Passwords log in to a host that accepts none of our keys yet. They are asked for once
// the host has shown the key that is pinned for it, and only if it takes passwords.
type Passwords struct {
	Password func(wrong int) (secret.Value, error) // again after wrong ones, until an error
	New      func() (secret.Value, error)          // what replaces it where the host demands that

	given int          // how often Password was asked
	used  secret.Value // what the host took in the end
	fresh secret.Value // what New returned
	why   error        // why there is nothing more to try
}

// Used returns the password that the host took: after a change during the login the new
// one.
func (p *Passwords) Used() secret.Value { return p.used }

// attempts is how often each method is tried: sshd ends a connection after six.
const attempts = 3

// methods are keyboard-interactive first, in which a host can demand a new password.
func (p *Passwords) methods(typing func() (done func())) []ssh.AuthMethod {
	interactive := ssh.KeyboardInteractive(func(_, instruction string, questions []string, _ []bool) ([]string, error) {
		defer typing()()
		return p.answers(instruction, questions)
	})
	password := ssh.PasswordCallback(func() (string, error) {
		defer typing()()
		v, err := p.ask()
		return string(v.Reveal()), err
	})
	return []ssh.AuthMethod{ssh.RetryableAuthMethod(interactive, attempts), ssh.RetryableAuthMethod(password, attempts)}
}

// ask returns a password that the host has not refused yet.
func (p *Passwords) ask() (secret.Value, error) {
	if p.why != nil {
		return secret.Value{}, p.why
	}
	v, err := p.Password(p.given)
	if err != nil {
		p.why = err
		return v, err
	}
	p.given++
	p.used = v
	return v, nil
}

// renew returns the new password, the same one for each time that the host asks.
func (p *Passwords) renew() (secret.Value, error) {
	if p.fresh.IsZero() {
		v, err := p.New()
		if err != nil {
			p.why = err
			return v, err
		}
		p.fresh = v
	}
	return p.fresh, nil
}

// answers are those to the questions of one round. A round without any only says
// something.
func (p *Passwords) answers(instruction string, questions []string) ([]string, error) {
	var all []string
	for _, q := range questions {
		var v secret.Value
		var err error
		switch kindOf(q) {
		case asksPassword:
			v, err = p.ask()
		case asksCurrent:
			v = p.used
		case asksNew:
			if !p.fresh.IsZero() { // it was refused
				p.why = refusedNew(instruction + "\n" + q)
				return nil, p.why
			}
			v, err = p.renew()
		case asksAgain:
			v, err = p.renew()
			p.used = v
		default:
			p.why = fmt.Errorf("it asks %q, which only a person can answer", terminal.Line(q))
			return nil, p.why
		}
		if err != nil {
			return nil, err
		}
		all = append(all, string(v.Reveal()))
	}
	return all, nil
}

// ErrWrongPassword means that the host refused every password that it was offered.
var ErrWrongPassword = errors.New("wrong password")

// denied explains a login that did not succeed.
func (p *Passwords) denied(o Options) error {
	at := fmt.Sprintf("%s@%s", o.user(), o.address())
	switch {
	case errors.Is(p.why, fault.ErrInterrupted):
		return p.why
	case p.given == 0 && p.why == nil:
		return fault.WithHint(because(NoKey, fmt.Errorf("%w: %s: it accepts none of the keys, and takes no passwords", machine.ErrDenied, at)),
			"salvor key ssh prints the line for ~/.ssh/authorized_keys there: the provider's console, or one who can log in, puts it there")
	case p.why == nil, errors.Is(p.why, ErrWrongPassword):
		return fault.WithHint(fmt.Errorf("%w: %s: %w", machine.ErrDenied, at, ErrWrongPassword),
			"sshd may also refuse every password of this user (PermitRootLogin); the provider's console shows both")
	}
	return fault.WithHint(fmt.Errorf("%w: %s: %w", machine.ErrDenied, at, p.why), fault.Hint(p.why))
}

// What a host wants to know when it asks for a password.
type question int

const (
	asksElse question = iota
	asksPassword
	asksCurrent
	asksNew
	asksAgain
)

var (
	asking  = regexp.MustCompile(`(?i)(password|passwd|passphrase).*: *$`)
	again   = regexp.MustCompile(`(?i)retype|re-type|reenter|re-enter|again|repeat|confirm`)
	newOne  = regexp.MustCompile(`(?i)\bnew\b`)
	current = regexp.MustCompile(`(?i)current|old`)
)

// kindOf reads a prompt as PAM and passwd write it: its last line asks.
func kindOf(prompt string) question {
	prompt = lastLine(prompt)
	switch {
	case !asking.MatchString(prompt):
		return asksElse
	case again.MatchString(prompt):
		return asksAgain
	case newOne.MatchString(prompt):
		return asksNew
	case current.MatchString(prompt):
		return asksCurrent
	}
	return asksPassword
}

func refusedNew(said string) error {
	why := "the host refuses the new password"
	if said = lastSaid(said); said != "" {
		why += ": " + said
	}
	return fault.WithHint(errors.New(why), "choose another one, and run the command again")
}
