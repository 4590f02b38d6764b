package git

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"salvor/internal/machine"
	"salvor/internal/secret"
)

// tokenUser is what Git hosts expect with a token; GitHub, GitLab and Gitea take any name.
const tokenUser = "x-access-token"

// A Login gives the operators' token at the Git host. Without ask no one may be asked for a
// passphrase for it: git is only asking for news.
type Login func(ctx context.Context, ask bool) (secret.Value, error)

// UseLogin gives git a token over https, where the operator's own credential helpers have
// nothing. It is asked for only then, and reaches git through a pipe: it is in no argument,
// environment, setting or file.
func (g *Repository) UseLogin(l Login) { g.login.Store(&l) }

// reaching runs a git command that reaches the Git host.
func (g *Repository) reaching(ctx context.Context, remote string, cmd machine.Cmd, ask bool) (string, error) {
	cmd.Timeout = remoteTimeout
	var login *Login
	if g.login != nil {
		login = g.login.Load()
	}
	if login == nil {
		return g.run(ctx, cmd)
	}
	address, err := g.URL(ctx, remote)
	if err != nil {
		return "", err
	}
	return g.lend(ctx, address, cmd, func() (secret.Value, error) { return (*login)(ctx, ask) })
}

// lend runs a git command that reaches an address, with a token for it.
func (g *reader) lend(ctx context.Context, address string, cmd machine.Cmd, token func() (secret.Value, error)) (string, error) {
	host, takes := takesToken(address)
	if !takes {
		return g.run(ctx, cmd)
	}
	p, err := newPipe(token)
	if err != nil {
		return "", err
	}
	cmd.Argv = slices.Insert(slices.Clone(cmd.Argv), 1, "-c", "credential."+host+".helper="+p.helper())
	out, err := g.run(ctx, cmd)
	if given := p.close(); err != nil && given != nil {
		err = fmt.Errorf("%w; %w", err, given)
	}
	return out, err
}

// takesToken returns "https://HOST" of an address to which a token may be sent: another one
// would show it on the way, except on loopback.
func takesToken(address string) (host string, takes bool) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || strings.ContainsAny(u.Host, "'\\\"= \n") {
		return "", false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	if u.Scheme != "https" && (u.Scheme != "http" || err != nil || !ip.IsLoopback()) {
		return "", false
	}
	return u.Scheme + "://" + u.Host, true
}

// A pipe is a named one that gives a token to the first that reads it.
type pipe struct {
	dir  string
	give func() (secret.Value, error)
	done chan error
	stop chan struct{}
}

func newPipe(give func() (secret.Value, error)) (*pipe, error) {
	dir, err := os.MkdirTemp("", "salvor-git-")
	if err != nil {
		return nil, err
	}
	p := &pipe{dir: dir, give: give, done: make(chan error, 1), stop: make(chan struct{})}
	if strings.ContainsAny(dir, "'\\") {
		err = fmt.Errorf("%s can't be named in a command of git", dir)
	} else {
		err = syscall.Mkfifo(p.path(), 0o600)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	go func() { p.done <- p.serve() }()
	return p, nil
}

func (p *pipe) path() string { return filepath.Join(p.dir, "login") }

// helper is the command that git takes for a credential helper: gitcredentials(7).
func (p *pipe) helper() string {
	return `!f() { test "$1" = get && exec cat '` + p.path() + `'; }; f`
}

// serve waits for a reader, and gives it what it wants. A second one finds nothing.
func (p *pipe) serve() error {
	f, err := os.OpenFile(p.path(), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	select {
	case <-p.stop:
		return nil
	default:
	}
	if err := os.Remove(p.path()); err != nil {
		return err
	}
	token, err := p.give()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "username=%s\npassword=%s\n", tokenUser, token.Reveal())
	return err
}

// close ends the pipe, and returns why a reader got nothing.
func (p *pipe) close() error {
	close(p.stop)
	if f, err := os.OpenFile(p.path(), os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil {
		defer f.Close() // it let the other end go on
	}
	return errors.Join(<-p.done, os.RemoveAll(p.dir))
}
