package controlrepo

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/fleet"
)

// TestNoHostIsCalledRecovery: its seals would take the place of the files in
// sealed/recovery, and with them of every password of its stacks' snapshots.
func TestNoHostIsCalledRecovery(t *testing.T) {
	h := fleet.Host{Name: "recovery", Address: "192.0.2.10"}
	if got, err := AddHost([]byte("fleet: home\nhosts: {}\n"), h); err == nil {
		t.Errorf("added: %s", got)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fleet.File), []byte("fleet: home\nschema: 1\nhosts:\n  recovery: {address: 192.0.2.10}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, ""); err == nil || !strings.Contains(err.Error(), "sealed/recovery") {
		t.Errorf("fleet.yaml may declare it: %v", err)
	}
}

// TestS22NoLoginStandsInGitsAddress: for http a token may be the user's name.
func TestS22NoLoginStandsInGitsAddress(t *testing.T) {
	for address, right := range map[string]bool{
		"https://ghp_token@git.example/fleet.git": false, "http://token@127.0.0.1/fleet.git": false, "HTTPS://ann:token@git.example/fleet.git": false,
		"ssh://git:pass@git.example/fleet.git": false, "ssh://git@git.example/fleet.git": true, "git@git.example:fleet.git": true, "https://git.example/fleet.git": true,
	} {
		if err := checkGitURL(address); (err == nil) != right {
			t.Errorf("%s: %v", address, err)
		}
	}
}
