package firstlogin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// File is where the line is that lets a user use sudo without a password.
const File = "/etc/sudoers.d/salvor"

// writeSudoers takes the line and a unique name. Names with a dot are not read by sudo, so
// that a file which visudo refuses never counts. Other lines stay.
const writeSudoers = `
umask 077
file=/etc/sudoers.d/salvor tmp=/etc/sudoers.d/.salvor-$2.tmp
trap 'rm -f -- "$tmp"' EXIT
trap 'exit 1' HUP INT TERM
set -C
{ [ ! -e "$file" ] || grep -vxF -e "$1" -- "$file"; printf '%s\n' "$1"; } >"$tmp" </dev/null || exit 1
chmod 0440 -- "$tmp" && visudo -c -f "$tmp" >/dev/null && sync -- "$tmp" && mv -fT -- "$tmp" "$file"
`

// userName is a name that sudoers takes as it is.
var userName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// becomeRoot makes sure that sudo asks the user for no password. It reports whether it had
// to change that.
func (d Door) becomeRoot(ctx context.Context, l *ssh.Login, known secret.Value) (bool, error) {
	says, err := d.sudo(ctx, l)
	if err != nil || says == "" {
		return false, err
	}
	password, err := d.sudoPassword(ctx, l, known)
	if err != nil {
		return false, err
	}
	line := d.User + " ALL=(ALL:ALL) NOPASSWD: ALL"
	if !userName.MatchString(d.User) {
		return false, denied("log in as another user", "%q can't be written into a sudoers file", d.User)
	}
	if err := d.Asks.Confirm(fmt.Sprintf("Let %s use sudo on %s without a password from now on (%s)?", d.User, d.Login.Name, File)); err != nil {
		return false, err
	}
	if _, err := l.Sudo(ctx, password, writeSudoers, line, rand.Text()); err != nil {
		return false, d.failed("write "+File, err)
	}
	says, err = d.sudo(ctx, l)
	if err == nil && says != "" {
		err = denied("sudo -l on "+d.Login.Name+" shows which rule counts: the last one that fits", "%s is there, and sudo still refuses %s: %s", File, d.User, says)
	}
	return true, err
}

// sudo returns why the user can't become root without a password, "" where that works.
func (d Door) sudo(ctx context.Context, l *ssh.Login) (says string, err error) {
	_, err = l.Run(ctx, "sudo -n true", nil)
	var exit *machine.ExitError
	if !errors.As(err, &exit) {
		return "", err
	}
	if exit.Code == 127 {
		return "", denied("salvor host add with root@ADDRESS, or apt-get install sudo there", "%s can't become root: sudo is not installed", d.User)
	}
	return said(exit), nil
}

var (
	mayNot = regexp.MustCompile(`not in the sudoers|not allowed|may not run`)
	wrong  = regexp.MustCompile(`(?i)incorrect password|try again|no password was provided|authentication fail`)
)

// sudoPassword returns the password that sudo takes.
func (d Door) sudoPassword(ctx context.Context, l *ssh.Login, known secret.Value) (secret.Value, error) {
	for tries := 0; ; tries++ {
		password, err := d.Asks.Sudo(tries, !known.IsZero())
		if err != nil {
			if errors.Is(err, ssh.ErrWrongPassword) {
				err = denied("it is the password of "+d.User+" itself, not root's", "%v of %s for sudo", err, d.User)
			}
			return password, err
		}
		if password.IsZero() {
			password = known
		}
		_, err = l.Sudo(ctx, password, ":")
		var exit *machine.ExitError
		if !errors.As(err, &exit) {
			return password, err
		}
		says := string(exit.Stderr)
		switch {
		case mayNot.MatchString(says):
			return password, denied("salvor host add with root@ADDRESS, or as root there: adduser "+d.User+" sudo", "%s may not use sudo: %s", d.User, said(exit))
		case !wrong.MatchString(says):
			return password, denied("log in there, and try: sudo true", "sudo fails for %s: %s", d.User, said(exit))
		}
	}
}

// said is the last line of what a program complained, as text that can be printed.
func said(exit *machine.ExitError) string {
	text := strings.TrimSpace(string(exit.Stderr))
	return terminal.Line(text[strings.LastIndexByte(text, '\n')+1:])
}

// failed names what could not be done on the host.
func (d Door) failed(what string, err error) error {
	var exit *machine.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	return fmt.Errorf("%s of %s: %s", what, d.User, said(exit))
}
