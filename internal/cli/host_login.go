package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/firstlogin"
	"salvor/internal/fleet"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// firstLoginOptions are where the passwords of a first login are.
type firstLoginOptions struct {
	passwordFile    string
	newPasswordFile string
}

func (o *firstLoginOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.passwordFile, "password-file", "", "read the user's password from `FILE`, for a first login and for sudo; it is asked for on a terminal")
	cmd.Flags().StringVar(&o.newPasswordFile, "new-password-file", "", "read from `FILE` what replaces a password that must be changed at the first login")
}

// letIn makes sure that a new host lets Salvor in. A password is asked for only where no
// key is accepted, and used for this alone.
func letIn(ctx context.Context, g *globals, a *app.App, h fleet.Host, key ssh.PublicKey, o firstLoginOptions) error {
	asks, err := loginAsks(g, h, o)
	if err != nil {
		return err
	}
	if a.Keys.SSHKey() == "" && asks.Password != nil {
		if _, err := accepted(ctx, g, a.Keys.PrepareSSHKey()); err != nil {
			return err
		}
	}
	done, err := a.Hosts.LetIn(ctx, h, key, asks)
	if done.Changed {
		terminal.Printf(g.Err, "%s@%s has the new password.\n", h.User, h.Name)
	}
	if done.Keys {
		terminal.Printf(g.Err, "%s lets the fleet's SSH key in as %s: the password is not needed again.\n", h.Name, h.User)
	}
	if done.Sudo {
		terminal.Printf(g.Err, "%s may use sudo on %s without a password (%s).\n", h.User, h.Name, firstlogin.File)
	}
	return err
}

// loginAsks are the questions of a first login: those of a person, or what is in files.
// Without either there are none.
func loginAsks(g *globals, h fleet.Host, o firstLoginOptions) (firstlogin.Asks, error) {
	at := h.User + "@" + h.Address
	asks := firstlogin.Asks{Confirm: g.confirm, New: func() (secret.Value, error) { return newLogin(g, at) }}
	switch {
	case o.newPasswordFile != "":
		v, err := passwordIn("--new-password-file", o.newPasswordFile)
		if err != nil {
			return asks, err
		}
		asks.New = func() (secret.Value, error) { return v, nil }
	case g.Term == nil:
		asks.New = func() (secret.Value, error) {
			return secret.Value{}, fault.WithCode(fault.WithHint(fmt.Errorf("the password of %s must be changed before anything runs there", at),
				"run it at a terminal, which asks for a new one, or with --new-password-file FILE"), fault.Unreachable)
		}
	}
	switch {
	case o.passwordFile != "":
		v, err := passwordIn("--password-file", o.passwordFile)
		if err != nil {
			return asks, err
		}
		asks.Password = func(wrong int) (secret.Value, error) { return only(v, wrong) }
		asks.Sudo = func(wrong int, loggedIn bool) (secret.Value, error) {
			if loggedIn { // with this one, or the one that replaced it
				return only(secret.Value{}, wrong)
			}
			return only(v, wrong)
		}
	case g.Term != nil:
		asks.Password = func(wrong int) (secret.Value, error) {
			return typedPassword(g, "Password of "+at+": ", wrong)
		}
		asks.Sudo = func(wrong int, loggedIn bool) (secret.Value, error) {
			if loggedIn {
				return typedPassword(g, "Password of "+at+" for sudo (Enter: the same): ", wrong)
			}
			return typedPassword(g, "Password of "+at+" for sudo: ", wrong)
		}
	}
	return asks, nil
}

func only(v secret.Value, wrong int) (secret.Value, error) {
	if wrong > 0 {
		return secret.Value{}, ssh.ErrWrongPassword
	}
	return v, nil
}

// typedPassword asks for a password of a host, at most three times.
func typedPassword(g *globals, prompt string, wrong int) (secret.Value, error) {
	switch {
	case wrong >= tries:
		return secret.Value{}, ssh.ErrWrongPassword
	case wrong > 0:
		prompt = fmt.Sprintf("That is not it (try %d of %d). %s", wrong+1, tries, prompt)
	}
	return g.hidden(prompt, g.Term)
}

// newLogin has a person type a new password twice.
func newLogin(g *globals, at string) (secret.Value, error) {
	first, err := g.hidden("The password of "+at+" must be changed. New password: ", g.Term)
	if err != nil {
		return first, err
	}
	second, err := g.hidden("The same again: ", g.Term)
	switch {
	case err != nil:
		return first, err
	case first.IsZero():
		return first, errNothingTyped
	case string(first.Reveal()) != string(second.Reveal()):
		return first, errors.New("the two passwords differ, nothing was changed")
	}
	return first, nil
}

// passwordIn reads a password from a file that no one else can read, or from a pipe such
// as /dev/fd/3.
func passwordIn(flag, file string) (secret.Value, error) {
	f, err := os.Open(file)
	if err != nil {
		return secret.Value{}, fault.WithCode(fmt.Errorf("%s: %w", flag, err), fault.Usage)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", flag, err)
	}
	if info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		return secret.Value{}, fault.WithCode(fault.WithHint(fmt.Errorf("%s: others can read %s (mode %04o)", flag, file, info.Mode().Perm()), "chmod 600 "+file), fault.Usage)
	}
	content, err := io.ReadAll(io.LimitReader(f, maxPassword))
	if err != nil {
		return secret.Value{}, fmt.Errorf("%s: %w", flag, err)
	}
	defer clear(content)
	line := strings.TrimRight(string(content), "\r\n")
	if line == "" || strings.ContainsAny(line, "\r\n\x00") {
		return secret.Value{}, fault.WithCode(fmt.Errorf("%s: %s must hold one line, the password", flag, file), fault.Usage)
	}
	return secret.NewString(line), nil
}

// maxPassword is more than PAM takes.
const maxPassword = 4096
