package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/confirmation"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/github"
	"salvor/internal/newfleet"
	"salvor/internal/secret"
	"salvor/internal/terminal"
)

// githubOptions say which repository at GitHub a new fleet gets.
type githubOptions struct {
	name      string
	public    string
	tokenFile string

	forge   *newfleet.Forge // nil for none
	token   secret.Value
	command []string // that prints the token, nil where Salvor keeps it
	made    github.Repository
}

func (o *githubOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.name, "github", "", "make the private repository `OWNER/NAME` at GitHub, and push to it")
	cmd.Flags().StringVar(&o.tokenFile, "github-token-file", "", "read the token for GitHub from `FILE`; without it gh is asked for its own, then you")
	cmd.Flags().StringVar(&o.public, "public", "", "take an `OWNER/NAME` that everyone can read: its name once more, instead of a question")
}

// find looks for the repository, and asks for what that needs. Nothing is changed.
func (o *githubOptions) find(ctx context.Context, g *globals, dir string, s surroundings) error {
	if o.name == "" {
		if o.public != "" || o.tokenFile != "" {
			return fault.WithCode(errors.New("--public and --github-token-file are about the repository of --github"), fault.Usage)
		}
		return nil
	}
	n, err := github.ParseName(o.name)
	if err != nil {
		return fault.WithCode(fmt.Errorf("--github: %w", err), fault.Usage)
	}
	if s.gitRemote != "" {
		return fault.WithCode(errors.New("--github and --git-remote both say where the repository is: give one"), fault.Usage)
	}
	if has := newfleet.GitRemote(ctx, dir); has != "" {
		return fault.WithCode(fmt.Errorf("%s has a Git remote already, so --github is not for it", dir), fault.Usage)
	}
	if err := o.login(ctx, g); err != nil {
		return err
	}
	if o.forge, err = newfleet.AtGitHub(ctx, g.GitHub, o.token, n); err != nil {
		return err
	}
	return o.mayBePublic(g)
}

// login gets the token: from a file, from gh, or from the person at the terminal.
func (o *githubOptions) login(ctx context.Context, g *globals) (err error) {
	if o.tokenFile != "" {
		o.token, err = passwordIn("--github-token-file", o.tokenFile)
		return err
	}
	if o.token, o.command, err = newfleet.FromGH(ctx); err == nil {
		return nil
	}
	if !g.asks() {
		return fault.WithCode(fault.WithHint(fmt.Errorf("no token for GitHub: %w", err), "gh auth login, or --github-token-file FILE"), fault.Usage)
	}
	o.token, err = g.hidden("Token for GitHub (docs/github.md says which): ", g.Term)
	return err
}

// mayBePublic refuses a repository that everyone can read, unless its name was given twice.
func (o *githubOptions) mayBePublic(g *globals) error {
	if !o.forge.Public() {
		return nil
	}
	name, warning := o.forge.Name.String(), fmt.Sprintf("%s is public: everyone can read which hosts and stacks you have, and their settings", o.forge.Name)
	if twice, err := github.ParseName(o.public); err == nil && twice.Is(o.forge.Name) {
		return nil
	}
	if !g.asks() {
		return fault.WithCode(fault.WithHint(errors.New(warning), "make it private at GitHub, in its settings, or confirm it with --public "+name), fault.Usage)
	}
	return g.confirmName(warning+".", name)
}

// make makes the repository, unless it is there.
func (o *githubOptions) make(ctx context.Context, g *globals) error {
	if o.forge == nil {
		return nil
	}
	was := o.forge.Public()
	var err error
	if o.made, err = o.forge.Make(ctx); err != nil || was {
		return err
	}
	_, err = terminal.Printf(g.Err, "The private repository %s is at GitHub.\n", o.made.Name)
	return err
}

// keepToken declares the token of a new fleet: kept as a secret, or printed by gh, which the
// operator has just chosen.
func (o *githubOptions) keepToken(ctx context.Context, g *globals) error {
	approve := func(opened *app.Options) { opened.Approve = func(confirmation.Approval) error { return nil } }
	return g.withOptions(ctx, approve, func(a *app.App) error {
		files := map[string][]byte{}
		if o.command == nil {
			encrypted, err := a.Secrets.Encrypt(ctx, newfleet.GitHubToken, o.token)
			if err != nil {
				return err
			}
			maps.Copy(files, encrypted)
		} else if _, err := a.Confirmed.AllowProgram(newfleet.GitHubToken, o.command); err != nil {
			return err
		}
		config, err := a.Checkout.File(fleet.File)
		if err != nil {
			return err
		}
		if files[fleet.File], err = controlrepo.SetGitToken(config, newfleet.GitHubToken, o.command); err != nil {
			return err
		}
		return a.Checkout.CommitFiles(ctx, files, "init: token at GitHub")
	})
}
