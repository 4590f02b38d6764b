package newfleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/github"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/secret"
)

// GitHubToken is the name of the secret that a new fleet's token at GitHub is kept as.
const GitHubToken = "github_token"

// A Forge is the repository at GitHub that a new fleet gets.
type Forge struct {
	Name  github.Name
	api   *github.API
	found *github.Repository // nil for one that is not there yet
}

// AtGitHub looks for the repository that a new fleet is to have, and changes nothing. One
// that has a branch is refused: a fleet is in it, or something else.
func AtGitHub(ctx context.Context, s github.Site, token secret.Value, n github.Name) (*Forge, error) {
	api, err := github.New(s, token)
	if err != nil {
		return nil, err
	}
	f := &Forge{Name: n, api: api}
	found, err := api.Repository(ctx, n)
	if errors.Is(err, github.ErrNone) {
		return f, nil
	}
	if err != nil {
		return nil, fault.WithHint(err, tokenHint(n))
	}
	f.Name, f.found = found.Name, &found
	empty, err := api.Empty(ctx, n)
	if err != nil {
		return nil, fault.WithHint(err, tokenHint(n))
	}
	if !empty {
		return nil, fault.WithHint(fmt.Errorf("%s has commits already", f.Name), "git clone "+found.SSH+", if it is a fleet; else choose another name, and it is made")
	}
	return f, nil
}

// Public reports whether the repository is there, and everyone can read it.
func (f *Forge) Public() bool { return f.found != nil && !f.found.Private }

// Make makes the repository, private, unless it is there.
func (f *Forge) Make(ctx context.Context) (github.Repository, error) {
	if f.found != nil {
		return *f.found, nil
	}
	made, err := f.api.Create(ctx, f.Name)
	switch {
	case errors.Is(err, github.ErrExists):
		err = fault.WithHint(err, "run it again: someone else has just made it, or the token may not see it")
	case errors.Is(err, github.ErrPermission), errors.Is(err, github.ErrNone), errors.Is(err, github.ErrToken):
		err = fault.WithHint(err, tokenHint(f.Name))
	}
	if err == nil {
		f.found = &made
	}
	return made, err
}

// tokenHint says which token is needed.
func tokenHint(n github.Name) string {
	return fmt.Sprintf("make a token at https://github.com/settings/personal-access-tokens with Administration (read and write) and Contents (read) for the repositories of %s, or an empty private %s in the browser", n.Owner, n)
}

// ghCommand prints the token of GitHub's own program.
func ghCommand() []string { return []string{"gh", "auth", "token", "--hostname", "github.com"} }

// ghLimit is how long gh may take, which asks no server.
const ghLimit = 15 * time.Second

// FromGH returns the token with which the operator is logged in at GitHub's own program, and
// the command that prints it.
func FromGH(ctx context.Context) (token secret.Value, command []string, err error) {
	command = ghCommand()
	out, err := local.Machine{Inherit: true}.Run(ctx, machine.Cmd{Argv: command, Timeout: ghLimit})
	if err != nil {
		return token, nil, errors.New("gh is not installed, or not logged in")
	}
	defer clear(out.Stdout)
	return secret.NewString(strings.TrimSpace(string(out.Stdout))), command, nil
}
