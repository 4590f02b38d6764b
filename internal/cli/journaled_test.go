package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestS18WhatAContainerRunsIsInNoJournal: of commands that hand arguments on, the
// operators' journal has the stack alone.
func TestS18WhatAContainerRunsIsInNoJournal(t *testing.T) {
	for typed, want := range map[string]string{
		"exec app web -- sh -c PGPASSWORD=hunter2 true": "exec app",
		"exec app web env PASSWORD=hunter2":             "exec app",
		"logs app hunter2":                              "logs app",
		"logs app":                                      "logs app",
		"secret get token":                              "secret get token",
		"recover alpha --to gamma":                      "recover alpha",
	} {
		root := newRoot(&globals{})
		cmd, args, err := root.Find(strings.Fields(typed))
		if err == nil {
			err = cmd.ParseFlags(args)
		}
		if err != nil {
			t.Fatal(typed, err)
		}
		if got := journaled(cmd, cmd.Flags().Args()); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
	// Whatever takes any number of arguments and hands them on is such a command.
	each(newRoot(&globals{}), func(cmd *cobra.Command) {
		if strings.Contains(cmd.Use, "COMMAND…") && cmd.Annotations[firstOnly] == "" {
			t.Errorf("%s: what it runs would be in the journal", cmd.CommandPath())
		}
	})
}

func each(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, sub := range cmd.Commands() {
		each(sub, visit)
	}
}
