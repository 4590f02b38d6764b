// Package firstlogin opens a host that does not let Salvor in yet: it logs in with a
// password, has an expired one changed, puts the fleet's keys into the user's
// authorized_keys, and lets the user use sudo without a password. What it did is there to
// stay; the password is used for this alone and kept nowhere.
package firstlogin

import (
	"context"
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
)

// Asks are how a person, or a file, gives what a first login needs. Each may be called
// again with the number of wrong answers before, and ends the tries with an error.
type Asks struct {
	Password func(wrong int) (secret.Value, error)
	// New is what replaces a password that must be changed.
	New func() (secret.Value, error)
	// Sudo is the user's password for sudo; empty is the one that was used to log in.
	Sudo func(wrong int, loggedIn bool) (secret.Value, error)
	// Confirm asks whether the user may use sudo without a password from now on.
	Confirm func(question string) error
}

// A Door is a host that does not let Salvor in.
type Door struct {
	Login ssh.Options // with the keys that there are
	User  string
	Lines []string // of authorized_keys, the fleet's
	Asks  Asks
}

// Opened is what a first login did on the host.
type Opened struct {
	Changed bool // the user's password
	Keys    bool // it accepts the fleet's keys
	Sudo    bool // the user needs no password for sudo
}

// Open does what it takes that Dial succeeds after it denied access for that reason. The
// host has shown its pinned key before anything is asked or sent. It may be called again
// after it was interrupted anywhere.
func (d Door) Open(ctx context.Context, why ssh.Why) (Opened, error) {
	var done Opened
	login := d.Login
	passwords := &ssh.Passwords{Password: d.Asks.Password, New: d.Asks.New}
	if why == ssh.NoKey {
		login.Auth = ssh.Auth{Passwords: passwords}
	}
	l, err := ssh.LogIn(ctx, login)
	if err != nil {
		return done, err
	}
	defer func() { l.Close() }()
	known := passwords.Used()
	must, err := l.MustChange(ctx)
	if err != nil {
		return done, err
	}
	if must {
		if known, err = d.change(ctx, l, known); err != nil {
			return done, err
		}
		done.Changed = true
		l.Close()
		if why == ssh.NoKey {
			login.Auth = ssh.Auth{Passwords: &ssh.Passwords{Password: once(known)}}
		}
		if l, err = ssh.LogIn(ctx, login); err != nil {
			return done, err
		}
	}
	if why == ssh.NoKey {
		if err := d.putKeys(ctx, l); err != nil {
			return done, err
		}
		done.Keys = true
	}
	if d.User != "root" {
		done.Sudo, err = d.becomeRoot(ctx, l, known)
	}
	return done, err
}

// once gives a password that is right, or none.
func once(v secret.Value) func(int) (secret.Value, error) {
	return func(wrong int) (secret.Value, error) {
		if wrong > 0 {
			return secret.Value{}, ssh.ErrWrongPassword
		}
		return v, nil
	}
}

// change has the user's password changed, and returns the new one.
func (d Door) change(ctx context.Context, l *ssh.Login, known secret.Value) (secret.Value, error) {
	var err error
	if known.IsZero() { // a key let us in
		if known, err = d.Asks.Password(0); err != nil {
			return known, err
		}
	}
	replacement, err := d.Asks.New()
	if err != nil {
		return known, err
	}
	return replacement, l.Change(ctx, known, replacement)
}

// denied is an error about what the user may do on the host, which the caller names.
func denied(hint, format string, v ...any) error {
	return fault.WithHint(fmt.Errorf("%w: %s", machine.ErrDenied, fmt.Sprintf(format, v...)), hint)
}
