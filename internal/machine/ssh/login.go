package ssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"salvor/internal/machine"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// A Login is a user's own connection, before the host is one that Dial can use: its
// scripts run as the user, not as root.
type Login struct {
	m *Machine
}

// LogIn connects as Dial does, and needs no more than a shell there. Close ends it.
func LogIn(ctx context.Context, o Options) (*Login, error) {
	client, jump, err := connectVia(ctx, o)
	if err != nil {
		return nil, err
	}
	return &Login{m: &Machine{name: o.Name, client: client, jump: jump, done: make(chan struct{})}}, nil
}

// Close ends the connection. It may be called twice.
func (l *Login) Close() {
	l.m.giveUp(errors.New("closed"))
}

// scriptTime is what one script may take, and a round of a dialogue.
const scriptTime = time.Minute

// Run runs a script with sh as the user, with stdin as its input, and returns what it
// printed. A script that ends with another code than 0 is a *machine.ExitError.
func (l *Login) Run(ctx context.Context, script string, stdin io.Reader, args ...string) (string, error) {
	return l.run(ctx, nil, script, stdin, args...)
}

// Sudo is Run as root, with the user's password on sudo's standard input; the script has
// no input. sudo asks no one and uses no earlier login.
func (l *Login) Sudo(ctx context.Context, password secret.Value, script string, args ...string) (string, error) {
	line := append(slices.Clone(password.Reveal()), '\n')
	defer clear(line)
	return l.run(ctx, []string{"sudo", "-S", "-k", "-p", "", "--"}, script, bytes.NewReader(line), args...)
}

func (l *Login) run(ctx context.Context, before []string, script string, stdin io.Reader, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, scriptTime, fmt.Errorf("no end after %s", scriptTime))
	defer cancel()
	s, err := l.m.open(ctx)
	if err != nil {
		return "", err
	}
	defer s.channel.Close()
	argv := slices.Concat([]string{"env", "LC_ALL=C", "PATH=" + machine.Path}, before, []string{"/bin/sh", "-c", script, "salvor"}, args)
	if err := s.exec("exec " + quote(argv)); err != nil {
		return "", l.m.lost(err)
	}
	stdout, stderr := machine.NewCollector(nil), machine.NewTail(nil)
	flows := []*machine.Flow{machine.Copy(stdout, s.channel, func(error) {}), machine.Copy(stderr, s.channel.Stderr(), func(error) {})}
	if stdin != nil {
		_, _ = io.Copy(s.channel, stdin) // a script that reads nothing has ended
	}
	_ = s.channel.CloseWrite()
	select {
	case <-s.ended:
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	for _, f := range flows {
		f.Drain(quiet)
	}
	switch {
	case !s.said:
		return "", l.m.lost(errors.New("a script did not end"))
	case s.code != 0:
		return "", &machine.ExitError{Argv: []string{"sh"}, Code: s.code, Signal: s.signal, Stderr: stderr.Bytes()}
	}
	return string(stdout.Bytes()), nil
}

// MustChange reports whether the host runs nothing until the user's password is changed.
func (l *Login) MustChange(ctx context.Context) (bool, error) {
	_, err := l.Run(ctx, ":", nil)
	var exit *machine.ExitError
	if errors.As(err, &exit) {
		if mustChange(string(exit.Stderr)) {
			return true, nil
		}
		return false, fmt.Errorf("%w: no usable shell: %s", machine.ErrDenied, terminal.Line(lastLine(strings.TrimSpace(string(exit.Stderr)))))
	}
	return false, err
}

// Change has the user's password changed in the dialogue that the host begins at a
// terminal. The connection is of no use afterwards: sshd demands the change of it again.
func (l *Login) Change(ctx context.Context, old, replacement secret.Value) error {
	ctx, cancel := context.WithTimeoutCause(ctx, scriptTime, fmt.Errorf("no end after %s", scriptTime))
	defer cancel()
	s, err := l.m.open(ctx)
	if err != nil {
		return err
	}
	defer s.channel.Close()
	defer context.AfterFunc(ctx, func() { s.channel.Close() })()
	if err := s.silentTerminal(); err != nil {
		return err
	}
	if err := s.exec("exec " + quote([]string{"/bin/sh", "-c", ":"})); err != nil {
		return l.m.lost(err)
	}
	d := dialogue{old: old, replacement: replacement}
	if err := d.hold(s.channel); err != nil {
		return fmt.Errorf("%w: %w", machine.ErrDenied, err)
	}
	select {
	case <-s.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if !d.typed {
		return fmt.Errorf("%w: it asked for no new password: %s", machine.ErrDenied, lastSaid(d.heard.String()))
	}
	if s.said && s.code != 0 {
		return fmt.Errorf("%w: %w", machine.ErrDenied, refusedNew(d.heard.String()))
	}
	return nil
}

// A dialogue answers the questions of passwd(1) and PAM on a terminal.
type dialogue struct {
	old, replacement secret.Value
	heard            strings.Builder // since the last answer
	typed            bool            // the replacement
}

// maxHeard is what a host may say before it asks.
const maxHeard = 64 << 10

// hold returns when the host hangs up.
func (d *dialogue) hold(channel io.ReadWriter) error {
	buf := make([]byte, 4096)
	for d.heard.Len() < maxHeard {
		n, err := channel.Read(buf)
		d.heard.Write(buf[:n])
		answer, asked := d.answer(d.heard.String())
		switch {
		case asked && answer.IsZero():
			return refusedNew(d.heard.String())
		case asked:
			d.heard.Reset()
			line := append(slices.Clone(answer.Reveal()), '\n')
			_, err = channel.Write(line)
			clear(line)
			if err != nil {
				return err
			}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
	return errors.New("it says too much, and asks for nothing")
}

// answer is what to type after what was heard; none where a new password is asked for
// once more.
func (d *dialogue) answer(heard string) (answer secret.Value, asked bool) {
	switch kindOf(heard) {
	case asksPassword, asksCurrent:
		return d.old, true
	case asksNew:
		if d.typed {
			return secret.Value{}, true
		}
		d.typed = true
		return d.replacement, true
	case asksAgain:
		return d.replacement, true
	}
	return secret.Value{}, false
}

// silentTerminal asks for a pseudo-terminal that echoes nothing (RFC 4254, 8: ECHO is 53).
func (s *session) silentTerminal() error {
	modes := "\x35\x00\x00\x00\x00\x00"
	ok, err := s.channel.SendRequest("pty-req", true, ssh.Marshal(struct {
		Term                            string
		Columns, Rows, PixelsX, PixelsY uint32
		Modes                           string
	}{Term: "dumb", Columns: 200, Rows: 24, Modes: modes}))
	if err == nil && !ok {
		err = errors.New("the host does not provide a terminal")
	}
	return err
}

var complains = regexp.MustCompile(`(?i)bad password|too short|too simple|must|not been changed|unchanged|palindrome|dictionary|similar|already|error`)

// lastSaid is the line of a dialogue that says why something failed: the last that
// complains, or the last.
func lastSaid(heard string) string {
	var last, complaint string
	for line := range strings.Lines(heard) {
		line = terminal.Line(strings.TrimSpace(line))
		if line == "" || kindOf(line) != asksElse {
			continue
		}
		last = line
		if complains.MatchString(line) {
			complaint = line
		}
	}
	if complaint != "" {
		return complaint
	}
	return last
}
