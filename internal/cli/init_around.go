package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"

	"salvor/internal/app"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/ssh"
	"salvor/internal/newfleet"
	"salvor/internal/remotes"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// surroundings are what a new fleet is connected to.
type surroundings struct {
	gitRemote    string
	place        string
	hostKey      string
	passwordFile string
	github       *githubOptions

	parsed *newfleet.Place // of place, nil for none
	tries  bool            // the place is tried, for which nothing has to be asked
}

// asks reports whether there is a person to ask what no flag says.
func (g *globals) asks() bool { return g.Term != nil && !g.yes && !g.json }

// askSurroundings asks at the terminal for what no flag says, and dir does not have: it
// may be the clone of an empty repository.
func askSurroundings(ctx context.Context, g *globals, dir string, s surroundings) (surroundings, error) {
	asks, atGitHub := g.asks(), s.github.forge != nil
	var err error
	if s.gitRemote == "" {
		s.gitRemote = newfleet.GitRemote(ctx, dir)
	}
	if s.gitRemote == "" && asks && !atGitHub {
		s.gitRemote, err = g.ask("Git remote, the URL of an empty repository (nothing: later): ")
	}
	if s.place == "" && asks && err == nil {
		s.place, err = g.ask("Place for snapshots, such as sftp://USER@HOST/FOLDER (nothing: later): ")
	}
	if err != nil || s.place == "" {
		return s, err
	}
	p, err := newfleet.ParsePlace(s.place)
	s.parsed = &p
	return s, err
}

// surround connects a new fleet. The fleet is made by then, so what fails is reported
// with the command that does it later. It returns what is left to do.
func surround(ctx context.Context, g *globals, s surroundings) []string {
	var next []string
	later := func(what string, err error, command string) {
		if err != nil {
			g.progress().Suspend(func() {
				terminal.Printf(g.Err, "note: %s: %s\n", what, terminal.Text(err.Error()))
				if hint := fault.Hint(err); hint != "" {
					terminal.Printf(g.Err, "hint: %s\n", hint)
				}
			})
		}
		next = append(next, command)
	}
	switch {
	case s.parsed != nil:
		if left, err := addPlace(ctx, g, s); err != nil {
			later("the place for snapshots is not added", err, "$EDITOR fleet.yaml, then salvor remote test NAME")
		} else {
			next = append(next, left...)
		}
	default:
		later("", nil, "salvor remote add NAME --type TYPE, then a snapshot target on it in fleet.yaml")
	}
	push := "git push --set-upstream origin HEAD"
	if s.github.forge != nil {
		s.gitRemote, push = s.github.made.SSH, push+" (GitHub must accept your SSH key: https://github.com/settings/keys)"
		if err := s.github.keepToken(ctx, g); err != nil {
			later("the token for GitHub is not kept", err, "salvor secret set "+newfleet.GitHubToken+", then git: {token: secret:"+newfleet.GitHubToken+"} in fleet.yaml")
		}
	}
	if s.gitRemote == "" {
		later("", nil, "git remote add origin URL")
	} else if err := addGitRemote(ctx, g, s.gitRemote); err != nil {
		later("the repository is not pushed yet", err, push)
	}
	return append(next, "salvor host add NAME USER@ADDRESS (the server must accept your SSH key, or the one that salvor key ssh prints)")
}

// addGitRemote has the repository pushed to a Git remote, whose server hosts know.
func addGitRemote(ctx context.Context, g *globals, url string) error {
	return g.with(ctx, func(a *app.App) error {
		if _, err := a.Checkout.Git.Upstream(ctx); errors.Is(err, git.ErrNoRemote) {
			if err := a.Checkout.Git.AddRemote(ctx, url); err != nil {
				return err
			}
		}
		if err := a.GitHost.Pin(ctx); err != nil {
			return err
		}
		return a.Checkout.Committer(false).Push(ctx)
	})
}

// addPlace declares the place for snapshots with its login, and tries it. It returns what
// is left to do.
func addPlace(ctx context.Context, g *globals, s surroundings) (next []string, err error) {
	err = g.with(ctx, func(a *app.App) error {
		p := *s.parsed
		if err := pinPlace(ctx, g, a, &p, s.hostKey); err != nil {
			return err
		}
		files, left, err := placeLogin(ctx, g, a, &p, s.passwordFile)
		if err != nil {
			return err
		}
		config, err := a.Checkout.File(fleet.File)
		if err != nil {
			return err
		}
		all := map[string][]byte{}
		maps.Copy(all, files)
		if all[fleet.File], err = p.Declare(config, a.Lock().Record); err != nil {
			return err
		}
		next, *s.parsed = left, p
		return a.Checkout.CommitFiles(ctx, all, "init: remote "+p.Remote.Name)
	})
	if err != nil {
		return nil, err
	}
	return tryPlace(ctx, g, s, next)
}

// pinPlace pins the key of an sftp server.
func pinPlace(ctx context.Context, g *globals, a *app.App, p *newfleet.Place, expected string) error {
	server, unpinned := remotes.Unpinned(p.Remote)
	if !unpinned {
		return nil
	}
	key, err := g.trust(ctx, a, server, expected, "--remote-host-key")
	if err != nil {
		return err
	}
	p.Remote.Options["host_keys"] = secret.ParseSetting(string(key.Key))
	return nil
}

// placeLogin returns the files of the secret with which a place is reached: a password, or
// a key that is made here, whose public half the server has to accept.
func placeLogin(ctx context.Context, g *globals, a *app.App, p *newfleet.Place, passwordFile string) (files map[string][]byte, next []string, err error) {
	if p.Login == newfleet.NoLogin {
		return nil, nil, nil
	}
	password, err := placePassword(g, p, passwordFile)
	if err != nil {
		return nil, nil, err
	}
	isKey := password.IsZero() && p.Login == newfleet.PasswordOrKey
	name := p.WithSecret(isKey)
	if password.IsZero() && !isKey {
		return nil, []string{"salvor secret set " + name}, nil
	}
	if isKey {
		var line string
		if password, line, err = ssh.NewKey("salvor-" + a.Fleet().Name); err != nil {
			return nil, nil, err
		}
		next = []string{fmt.Sprintf("let the server accept the key of the remote: append this line to ~/.ssh/authorized_keys of %s there:\n      %s",
			p.Remote.Options["user"], line)}
	}
	files, err = a.Secrets.Encrypt(ctx, name, password)
	return files, next, err
}

// tryPlace approves the remote in this clone, whose operator has just declared it, and
// tries it where nothing is left to do before. It returns what is left.
func tryPlace(ctx context.Context, g *globals, s surroundings, left []string) ([]string, error) {
	name := s.parsed.Remote.Name
	test := "salvor remote test " + name
	g.allowRemotes = append(g.allowRemotes, name)
	err := g.with(ctx, func(a *app.App) error {
		r, _ := a.Fleet().Remote(name)
		return a.Confirmed.AllowRemote(r)
	})
	if err != nil || !s.tries || len(left) > 0 || s.parsed.Login == newfleet.NoLogin {
		return append(left, test), err
	}
	if err := runRemoteTest(ctx, g, name, remoteTestOptions{}); err != nil {
		g.note(err)
		left = append(left, test)
	}
	return left, nil
}

func placePassword(g *globals, p *newfleet.Place, file string) (secret.Value, error) {
	switch {
	case file != "":
		content, err := os.ReadFile(file)
		return secret.New([]byte(strings.TrimRight(string(content), "\r\n"))), err
	case !g.asks():
		return secret.Value{}, nil
	}
	question := "Password of the remote " + p.Remote.Name + ": "
	if p.Login == newfleet.PasswordOrKey {
		question = "Password of the remote " + p.Remote.Name + " (nothing: an SSH key is made): "
	}
	return g.hidden(question, g.Term)
}

// numbered lists what is left to do.
func numbered(steps []string) string {
	var out strings.Builder
	for i, step := range steps {
		out.WriteString("  " + strconv.Itoa(i+1) + ". " + step + "\n")
	}
	return out.String()
}
