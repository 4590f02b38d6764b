package recovery

import (
	"strings"
	"testing"

	"salvor/internal/exposed"
	"salvor/internal/needs"
)

// TestAnInterruptedRecoveryStillSaysTheDeployKey is fault D20: the second run finds
// the host declared, with no files to add, and has the deploy key on its list.
func TestAnInterruptedRecoveryStillSaysTheDeployKey(t *testing.T) {
	first := Target{GitKey: "ssh-ed25519 AAAA gamma", Files: map[string][]byte{"hosts/gamma.pub": nil}}.letRead("gamma")
	again := Target{GitKey: "ssh-ed25519 AAAA gamma"}.letRead("gamma")
	if want := "let gamma read the repository: add its deploy key, read-only: ssh-ed25519 AAAA gamma"; first != want {
		t.Errorf("%q, want %q", first, want)
	}
	if !strings.Contains(again, "unless it does already") || !strings.HasSuffix(again, "ssh-ed25519 AAAA gamma") {
		t.Errorf("the second run: %q", again)
	}
}

// TestS19AfterATheftEverythingIsListed has the list that recover --compromised ends
// with: what the thief can still reach, each with where it is ended.
func TestS19AfterATheftEverythingIsListed(t *testing.T) {
	left := exposed.Host{
		Remotes: []string{"nas (nas_alpha)"}, DeployKey: "SHA256:abc", GitURL: "git@git.example.net:fleet",
		Secrets: []exposed.Secret{{Name: "nas_alpha", Renewal: needs.Renewal{First: "change it at its source", Command: "salvor secret rotate nas_alpha"}}, {Name: "notes/DB", Renewal: needs.Renewal{Command: "salvor secret rotate notes/DB --generate"}}},
	}
	list := strings.Join(append(left.StillHas("alpha"), afterTheft(left, "alpha", []string{"notes"}, "salvor host remove alpha")...), "\n")
	for _, want := range []string{
		"remove its deploy key SHA256:abc from the deploy keys of git@git.example.net:fleet",
		"the credential of the remote nas (nas_alpha)",
		"the secret nas_alpha; to give it a new value: change it at its source, then salvor secret rotate nas_alpha",
		"the secret notes/DB; to give it a new value: salvor secret rotate notes/DB --generate",
		"salvor restore notes --snapshot ID",
		"~/.ssh", "tailnet",
		"salvor host remove alpha",
	} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in the list:\n%s", want, list)
		}
	}
	if list := strings.Join(afterTheft(left, "alpha", nil, ""), "\n"); strings.Contains(list, "host remove") {
		t.Errorf("the machine that took its name would be removed:\n%s", list)
	}
}
