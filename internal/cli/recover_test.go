package cli

import (
	"strings"
	"testing"

	"salvor/internal/app"
)

// TestAnInterruptedRecoveryStillSaysTheDeployKey is fault D20: the second run finds
// the host declared, with no files to add, and has the deploy key on its list.
func TestAnInterruptedRecoveryStillSaysTheDeployKey(t *testing.T) {
	first := letRead("gamma", app.Addition{GitKey: "ssh-ed25519 AAAA gamma", Files: map[string][]byte{"hosts/gamma.pub": nil}})
	again := letRead("gamma", app.Addition{GitKey: "ssh-ed25519 AAAA gamma"})
	if want := "let gamma read the repository: add its deploy key, read-only: ssh-ed25519 AAAA gamma"; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	if !strings.Contains(again, "unless it does already") || !strings.HasSuffix(again, "ssh-ed25519 AAAA gamma") {
		t.Errorf("the second run: %q", again)
	}
}
