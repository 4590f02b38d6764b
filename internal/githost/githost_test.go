package githost

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/checkout"
)

// TestOnlyTheGitHostsLinesReachHosts: a recovery that adds a host changed what every
// host had about the Git host, so that the next plan was not empty.
func TestOnlyTheGitHostsLinesReachHosts(t *testing.T) {
	g := New(&checkout.Checkout{Export: t.TempDir()}, nil, Options{})
	write := func(content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(g.checkout.Export, "hosts"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(g.checkout.Export, "hosts", "known_hosts"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("# ours\n192.0.2.1 ssh-ed25519 A\n[git.example.net]:2222 ssh-ed25519 B\ngit.example.net,192.0.2.9 ssh-ed25519 C\n@cert-authority *.example.net ssh-ed25519 D\n|1|x|y ssh-ed25519 E\n\n")
	want := []string{"git.example.net,192.0.2.9 ssh-ed25519 C", "@cert-authority *.example.net ssh-ed25519 D", "|1|x|y ssh-ed25519 E"}
	if diff := cmp.Diff(want, g.knownLines("git@git.example.net:you/fleet.git")); diff != "" {
		t.Error(diff)
	}
	if lines := g.knownLines("https://git.example.net/you/fleet.git"); len(lines) > 0 {
		t.Errorf("lines for a repository that is not read over SSH: %q", lines)
	}
}
