package machine

import (
	"strings"
	"testing"
)

func TestExitErrorSaysWhatFailedAndWhy(t *testing.T) {
	for _, c := range []struct {
		argv   string
		stderr string
		want   string
	}{
		{"docker compose --project-name notes --file c.yaml up --detach", "no such image\n", "docker compose up: exit 1: no such image"},
		{"git -c core.quotePath=false -C /fleet push origin main", "git@nas: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n",
			"git push origin: exit 1: fatal: Could not read from remote repository."},
		{"systemctl start salvord.service", "", "systemctl start salvord.service: exit 1"},
		{"sh -c exit", "E: Unable to locate package restic\n", "sh: exit 1: E: Unable to locate package restic"},
	} {
		got := (&ExitError{Argv: strings.Fields(c.argv), Code: 1, Stderr: []byte(c.stderr)}).Error()
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
