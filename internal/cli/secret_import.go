package cli

import (
	"context"
	"maps"
	"slices"
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
		Use:   "import FILE…",
		Short: "Move plain .env files, env_files and secrets in Compose files into encrypted secrets",
		Long: "Import puts the secrets among the variables of each FILE into secrets/STACK.env and the others into the " +
			"stack's\n" +
			"stack.env, and rewrites the Compose file where needed. It shows the change first. Nothing is changed unless " +
			"every\n" +
			"service gets exactly the environment that it had. The change is committed; if the stack itself is not " +
			"committed yet,\n" +
			"the change is left for your commit of it. FILE and its comments are removed once the change has been read " +
			"back.\n" +
			"A FILE outside of the stacks' folders goes to the stacks that use it, to each only the variables that it " +
			"uses.\n" +
			"If FILE is a Compose file of a stack, each secret that is written out in it, or the default of a variable that is one,\n" +
			"becomes a variable in secrets/STACK.env, and the Compose file names that instead; it stays where it is.\n" +
			"If a Compose file lists FILE under secrets:, all of FILE becomes a secret of the fleet, which the Compose file names\n" +
			"instead.",
		Example: "  salvor secret import stacks/notes/.env\n" +
			"  salvor secret import stacks/*/.env\n" +
			"  salvor secret import stacks/notes/compose.yaml   # passwords that are written out in it\n" +
			"  salvor secret import stacks/notes/password.txt   # a file that it lists under secrets:\n" +
			"  salvor secret import ~/old/.env --stack notes",
		Args: leastArgs("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return runSecretImport(cmd.Context(), g, args, o) },
	}
	cmd.Flags().StringArrayVar(&o.Stacks, "stack", nil, "the `STACK` that the variables belong to (default: the stack whose folder contains FILE, otherwise those that use it)")
	cmd.Flags().BoolVar(&o.All, "all", false, "encrypt every variable, not only those that look like secrets")
	cmd.Flags().BoolVar(&o.Replace, "replace", false, "use FILE's values where the stack has different ones")
	cmd.Flags().BoolVar(&o.Files, "files", false, "let official images read secrets from files (NAME_FILE) where they can")
	cmd.Flags().StringArrayVar(&o.Deliver, "file", nil, "the same for one secret, `NAME[=SERVICE]`; refused if the image is not known to support it")
	return cmd
}

func runSecretImport(ctx context.Context, g *globals, files []string, o envimport.Options) error {
	var err error
	if o.EnvFiles, err = envimport.Read(files); err != nil {
		return err
	}
	bar := g.progress()
	defer bar.Close()
	options := g.options(bar)
	options.Files = checkout.WorkTree
	a, err := app.Open(ctx, options)
	if err != nil {
		return err
	}
	defer g.close(ctx, a)
	r, p, err := a.Import.Prepare(ctx, o)
	if err != nil {
		return err
	}
	bar.Close()
	if !g.json {
		if err := printImport(g, r); err != nil {
			return err
		}
	}
	if r, err = accepted(ctx, g, p); err != nil {
		return err
	}
	if g.json {
		return printImportJSON(g, r)
	}
	printImported(g, r)
	return nil
}

// printImport shows what will change: of secrets their names.
func printImport(g *globals, r envimport.Receipt) error {
	for _, i := range r.Imports {
		if i.Whole {
			terminal.Printf(g.Out, "%s: %s, encrypted\n", i.Encrypted, i.File)
			continue
		}
		if len(i.Secret) > 0 {
			terminal.Printf(g.Out, "%s: %s, encrypted: %s\n", i.Encrypted, terminal.Count(len(i.Secret), "variable"), strings.Join(i.Secret, ", "))
		}
		for _, name := range slices.Sorted(maps.Keys(i.Renamed)) {
			terminal.Printf(g.Out, "%s of %s becomes %s, since the stack has another %s\n", name, i.File, i.Renamed[name], name)
		}
		if len(i.Kept) > 0 {
			terminal.Printf(g.Out, "already in %s with the same value: %s\n", i.Stack, strings.Join(i.Kept, ", "))
		}
	}
	for _, v := range r.Repeated {
		terminal.Printf(g.Out, "%s:%d:1: %s is set again in line %d: the last value counts, as for Compose\n", v.File, v.Line, v.Name, v.Counts)
	}
	page := g.page()
	for _, c := range r.Changes {
		render.Diff(page, c.Path, c.Before, c.After)
	}
	if err := page.Err(); err != nil {
		return err
	}
	for _, file := range r.Removed {
		terminal.Printf(g.Out, "%s: removed\n", file)
	}
	return nil
}

func printImported(g *globals, r envimport.Receipt) {
	for _, i := range r.Imports {
		done := "committed; salvor apply delivers them"
		if slices.Contains(r.Staged, i.Stack) {
			done = "to be committed with the stack"
		}
		if i.Whole {
			terminal.Printf(g.Err, "%s of %s encrypted, %s\n", i.Encrypted, i.Stack, done)
			continue
		}
		terminal.Printf(g.Err, "%s of %s encrypted, %d plain, %s\n", terminal.Count(len(i.Secret), "variable"), i.Stack, len(i.Plain), done)
	}
	for _, file := range r.Outside {
		terminal.Printf(g.Err, "%s is outside of the repository and was not removed: remove it\n", file)
	}
	for _, u := range r.Unused {
		if len(u.Names) > 0 {
			terminal.Printf(g.Err, "%s was not removed, since no stack uses %s: remove it if nothing else does\n", u.File, strings.Join(u.Names, ", "))
		}
		if len(u.Stacks) > 0 {
			terminal.Printf(g.Err, "%s was not removed, since it is also used by %s: salvor secret import %s\n", u.File, strings.Join(u.Stacks, ", "), u.File)
		}
	}
	if len(r.Staged) > 0 {
		terminal.Printf(g.Err, "Next: git add -A && git commit -m %q\n", strings.Join(r.Staged, ", "))
	}
	printInHistory(g, r)
}

// printInHistory prints a command for each secret that Git keeps unencrypted.
func printInHistory(g *globals, r envimport.Receipt) {
	said := false
	for _, i := range r.Imports {
		for _, name := range i.InHistory {
			if !said {
				terminal.Printf(g.Err, "Git's history contains these values unencrypted and keeps them. Give each a new one:\n")
				said = true
			}
			if !i.Whole {
				name = i.Stack + "/" + name
			}
			terminal.Printf(g.Out, "salvor secret rotate %s\n", name)
		}
	}
}

func printImportJSON(g *globals, r envimport.Receipt) error {
	type imported struct {
		File      string            `json:"file"`
		Stack     string            `json:"stack"`
		Whole     bool              `json:"whole,omitempty"`
		Secret    []string          `json:"secret"`
		Plain     []string          `json:"plain"`
		Kept      []string          `json:"kept"`
		Renamed   map[string]string `json:"renamed,omitempty"`
		InHistory []string          `json:"in_history"`
		Committed bool              `json:"committed"`
	}
	all, changed := []imported{}, []string{}
	for _, i := range r.Imports {
		all = append(all, imported{i.File, i.Stack, i.Whole, i.Secret, i.Plain, i.Kept, i.Renamed, i.InHistory, !slices.Contains(r.Staged, i.Stack)})
	}
	for _, c := range r.Changes {
		changed = append(changed, c.Path)
	}
	return g.printJSON(struct {
		Schema   int                  `json:"schema"`
		Imports  []imported           `json:"imports"`
		Changed  []string             `json:"changed"`
		Removed  []string             `json:"removed"`
		Repeated []envimport.Repeated `json:"repeated,omitempty"`
	}{1, all, changed, append([]string{}, r.Removed...), r.Repeated})
}
