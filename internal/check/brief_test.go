package check

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
)

// TestBrief: after an import each variable had two lines, and what else there was could not
// be seen between them.
func TestBrief(t *testing.T) {
	t.Parallel()
	info := func(code finding.Code, subject string) finding.Finding {
		return finding.Finding{Code: code, Severity: finding.Info, Subject: subject, Text: "t", Fix: "f"}
	}
	got := lines(Brief([]finding.Finding{
		info(finding.HookMissing, "stacks/a/compose.yaml"),
		info(finding.SecretExposed, "stacks/a/compose.yaml:3:4"), info(finding.SecretExposed, "stacks/a/compose.yaml:5:4"),
		info(finding.SecretExposed, "stacks/b/compose.yaml:3:4"), info(finding.ConfigWritable, "stacks/a/compose.yaml:7:1"),
		info(finding.SecretExposed, "stacks/a/compose.yaml:9:4"),
	}))
	want := []string{
		"info hook-missing stacks/a/compose.yaml: t (f)",
		"info secret-exposed stacks/a/compose.yaml: containers have secrets in their environment or definition, in 3 places; docker inspect shows them, and Docker keeps them on disk (salvor check --all shows each place; docs/secrets.md shows how a service reads a secret from a file)",
		"info secret-exposed stacks/b/compose.yaml:3:4: t (f)",
		"info config-writable stacks/a/compose.yaml:7:1: t (f)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
