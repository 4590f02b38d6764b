package cli

import (
	"github.com/spf13/cobra"

	"salvor/internal/agentapi"
	"salvor/internal/app"
	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
	"salvor/internal/version"
)

func newVersion(g *globals) *cobra.Command {
	var hosts bool
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of this program, and with --hosts what each host runs",
		Long:  "The protocol is what salvor and a host's salvord speak: builds of one protocol work together.",
		Args:  exactArgs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !hosts {
				return g.printVersion(nil)
			}
			return g.session(cmd.Context(), func(_ *app.App, s *deploy.Session) error {
				all := []hostVersion{}
				for _, h := range s.Status(cmd.Context()) {
					all = append(all, hostVersion{h.Host, h.State.Salvord, h.Error})
				}
				g.progress().Close()
				return g.printVersion(all)
			})
		},
	}
	cmd.Flags().BoolVar(&hosts, "hosts", false, "also ask every host")
	return cmd
}

// hostVersion is what one host runs, or why that is not known.
type hostVersion struct {
	Host    string `json:"host"`
	Salvord string `json:"salvord,omitempty"`
	Error   string `json:"error,omitempty"`
}

// printVersion prints this program's version; hosts are nil where none was asked.
func (g *output) printVersion(hosts []hostVersion) error {
	if g.json {
		return g.printJSON(struct {
			Schema   int           `json:"schema"`
			Version  string        `json:"version"`
			Protocol int           `json:"protocol"`
			Hosts    []hostVersion `json:"hosts,omitempty"`
		}{fleet.Schema, version.String(), agentapi.Schema, hosts})
	}
	_, err := terminal.Printf(g.Out, "salvor version %s, protocol %d\n", version.String(), agentapi.Schema)
	for _, h := range hosts {
		runs := "salvord " + h.Salvord
		if h.Error != "" {
			runs = h.Error
		}
		terminal.Printf(g.Out, "%s: %s\n", h.Host, runs)
	}
	return err
}
