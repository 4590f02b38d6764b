package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
)

func newSchema(g *globals) *cobra.Command {
	return prints("a JSON Schema", &cobra.Command{
		Use:   "schema fleet|compose",
		Short: "Print the JSON Schema of fleet.yaml or of a stack's Compose file, for editors",
		Long: "The files that salvor init writes name these schemas in a comment that editors with the YAML language server " +
			"follow: " + schemaComment + "fleet.schema.json. Salvor writes them into the Git folder of each clone, so they are always " +
			"those of your build. Print a schema for an editor that wants a file elsewhere.",
		Args:      exactArgs("fleet|compose"),
		ValidArgs: []string{"fleet", "compose"},
		RunE:      func(_ *cobra.Command, args []string) error { return printSchema(g, args[0]) },
	})
}

// schemaComment is how a file at the top of the repository names a schema.
const schemaComment = "# yaml-language-server: $schema=.git/salvor/"

func printSchema(g *globals, name string) error {
	all, err := controlrepo.Schemas()
	if err != nil {
		return err
	}
	for _, schema := range all {
		if schema.Name == name {
			_, err := g.Out.Write(append(schema.Content, '\n'))
			return err
		}
	}
	return fault.WithCode(fault.WithHint(fmt.Errorf("there is no schema %q", name), "salvor schema fleet, or salvor schema compose"), fault.Usage)
}
