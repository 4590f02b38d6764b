package cli

import (
	"context"
	"path"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"salvor/internal/app"
	"salvor/internal/needs"
	"salvor/internal/secretchange"
	"salvor/internal/secretstore"
	"salvor/internal/terminal"
)

func newSecretLs(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "ls",
		Short: "List secrets, when they were set, who can open them and what uses them; never their values",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return g.with(cmd.Context(), func(a *app.App) error { return printSecrets(cmd.Context(), g, a) })
		},
	}
}

func printSecrets(ctx context.Context, g *globals, a *app.App) error {
	all, err := a.Identity.Secrets()
	if err != nil {
		return err
	}
	due, err := a.Secrets.Due(ctx)
	if err != nil {
		return err
	}
	if g.json {
		return g.printSecretsJSON(a, all, due)
	}
	tab := tabwriter.NewWriter(g.Out, 0, 0, 3, ' ', 0)
	terminal.Printf(tab, "SECRET\tSET\tDUE\tRECIPIENTS\tFILE\tUSED BY\n")
	now := time.Now()
	for _, s := range all {
		terminal.Printf(tab, "%s\t%s\t%s\t%s\t%s\t%s\n", s.Name, whenSet(s, due[s.Name]), whenDue(due[s.Name], now), openers(s), keptIn(s), users(a.Needs.Uses(s.Name)))
	}
	return tab.Flush()
}

func (g *globals) printSecretsJSON(a *app.App, all []secretstore.Info, due map[string]secretchange.Due) error {
	type row struct {
		Name       string      `json:"name"`
		File       string      `json:"file,omitempty"`
		Command    []string    `json:"command,omitempty"`
		Revision   int         `json:"revision,omitempty"`
		Set        time.Time   `json:"set,omitzero"`
		Due        time.Time   `json:"due,omitzero"`
		Recipients []string    `json:"recipients,omitempty"`
		OtherKeys  []string    `json:"other_keys,omitempty"`
		Fits       bool        `json:"fits"`
		UsedBy     []needs.Use `json:"used_by,omitempty"`
	}
	rows := []row{}
	for _, s := range all {
		rows = append(rows, row{s.Name, s.File, s.Command, s.Revision, setAt(s, due[s.Name]), due[s.Name].At, s.Recipients, s.OtherKeys, s.Fits, a.Needs.Uses(s.Name)})
	}
	return g.printJSON(struct {
		Schema  int   `json:"schema"`
		Secrets []row `json:"secrets"`
	}{1, rows})
}

func users(uses []needs.Use) string {
	if len(uses) == 0 {
		return "-"
	}
	names := make([]string, len(uses))
	for i, u := range uses {
		names[i] = u.String()
	}
	return strings.Join(names, ", ")
}

// whenSet is when a secret was set, as far as that is known: a file of SOPS says
// it, and what has a period was looked up in Git.
func whenSet(s secretstore.Info, d secretchange.Due) string {
	at := setAt(s, d)
	if at.IsZero() {
		return "-"
	}
	return at.Format("2006-01-02 15:04")
}

func setAt(s secretstore.Info, d secretchange.Due) time.Time {
	if !d.Since.IsZero() {
		return d.Since.UTC()
	}
	return s.Encrypted.UTC()
}

// whenDue is the day on which a secret is to be rotated.
func whenDue(d secretchange.Due, now time.Time) string {
	switch {
	case d.At.IsZero():
		return "-"
	case d.At.Before(now):
		return d.At.Format(time.DateOnly) + " (late)"
	}
	return d.At.Format(time.DateOnly)
}

// keptIn is the file that holds a secret, or the program that prints it.
func keptIn(s secretstore.Info) string {
	if s.Command != nil {
		return path.Base(s.Command[0]) + " (command)"
	}
	return s.File
}

// openers says who can open a secret: how many age keys, and what else.
func openers(s secretstore.Info) string {
	who := append([]string{}, s.OtherKeys...)
	if len(s.Recipients) > 0 {
		who = append([]string{strconv.Itoa(len(s.Recipients))}, who...)
	}
	if len(who) == 0 {
		return "-"
	}
	text := strings.Join(who, ", ")
	if !s.Fits {
		text += " (not those of fleet.yaml)"
	}
	return text
}
