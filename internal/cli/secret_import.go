package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/checkout"
	"salvor/internal/cli/render"
	"salvor/internal/envimport"
	"salvor/internal/terminal"
)

func newSecretImport(g *globals) *cobra.Command {
	var o envimport.Options
	cmd := &cobra.Command{
		Use:   "import FILE",
		Short: "Move a plain .env or env_file into encrypted secrets, and make the stack use them",
		Long: "Import puts the secrets among FILE's variables into secrets/STACK.env and the others into the stack's " +
			"stack.env, and\n" +
			"rewrites the Compose file where needed, in one commit that is shown first. Nothing is committed unless " +
			"every service\n" +
			"gets exactly the environment that it had. FILE and its comments are removed once the commit has been read " +
			"back.",
		Args: exactArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.File = args[0]
			return runSecretImport(cmd.Context(), g, o)
		},
	}
	cmd.Flags().StringVar(&o.Stack, "stack", "", "the `STACK` that the variables belong to (default: the stack whose folder contains FILE)")
	cmd.Flags().BoolVar(&o.All, "all", false, "encrypt every variable, not only those that look like secrets")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "use FILE's values where the stack has different ones")
	cmd.Flags().BoolVar(&o.Files, "files", false, "let official images read secrets from files (NAME_FILE) where they can")
	cmd.Flags().StringArrayVar(&o.Deliver, "file", nil, "the same for one secret, `NAME[=SERVICE]`; refused if the image is not known to support it")
	return cmd
}

func runSecretImport(ctx context.Context, g *globals, o envimport.Options) error {
	bar := g.progress()
	defer bar.Close()
	options := g.options(bar)
	options.Files = checkout.WorkTree
	a, err := app.Open(ctx, options)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	i, p, err := a.Import.Prepare(ctx, o)
	if err != nil {
		return err
	}
	bar.Close()
	if !g.json {
		if err := g.printImport(i); err != nil {
			return err
		}
	}
	if i, err = accepted(ctx, g, p); err != nil {
		return err
	}
	if g.json {
		return g.printImportJSON(i)
	}
	return g.printImported(i, o)
}

// printImport shows what will change: of secrets their names.
func (g *globals) printImport(i envimport.Import) error {
	if len(i.Secret) > 0 {
		terminal.Printf(g.Out, "%s: %s, encrypted: %s\n", i.Encrypted, terminal.Count(len(i.Secret), "variable"), strings.Join(i.Secret, ", "))
	}
	page := g.page()
	for _, c := range i.Changes {
		render.Diff(page, c.Path, c.Before, c.After)
	}
	if err := page.Err(); err != nil {
		return err
	}
	if len(i.Kept) > 0 {
		terminal.Printf(g.Out, "already there with the same value: %s\n", strings.Join(i.Kept, ", "))
	}
	if i.Removed != "" {
		terminal.Printf(g.Out, "%s: removed\n", i.Removed)
	}
	return nil
}

func (g *globals) printImported(i envimport.Import, o envimport.Options) error {
	terminal.Printf(g.Err, "%s of %s encrypted, %d plain, committed; salvor apply delivers them\n", terminal.Count(len(i.Secret), "variable"), i.Stack, len(i.Plain))
	if i.Outside {
		terminal.Printf(g.Err, "%s is outside of the repository and was not removed: remove it\n", o.File)
	}
	if len(i.InHistory) == 0 {
		return nil
	}
	terminal.Printf(g.Err, "Git's history contains these values unencrypted and keeps them. Give each a new one:\n")
	for _, name := range i.InHistory {
		terminal.Printf(g.Out, "salvor secret rotate %s/%s\n", i.Stack, name)
	}
	return nil
}

func (g *globals) printImportJSON(i envimport.Import) error {
	changed := []string{}
	for _, c := range i.Changes {
		changed = append(changed, c.Path)
	}
	return g.printJSON(struct {
		Schema    int      `json:"schema"`
		Stack     string   `json:"stack"`
		Secret    []string `json:"secret"`
		Plain     []string `json:"plain"`
		Kept      []string `json:"kept"`
		Changed   []string `json:"changed"`
		Removed   string   `json:"removed,omitempty"`
		InHistory []string `json:"in_history"`
	}{1, i.Stack, i.Secret, i.Plain, i.Kept, changed, i.Removed, i.InHistory})
}
