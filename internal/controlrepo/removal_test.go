package controlrepo

import (
	"strings"
	"testing"
	"testing/fstest"

	"filippo.io/age/plugin"
	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

func TestRemoveRecipient(t *testing.T) {
	const in = "recipients:\n  operators:\n    ann: age1a # hers\n    bob: age1b # his\n  recovery: age1r\n"
	got, err := RemoveRecipient([]byte(in), "bob")
	if want := "recipients:\n  operators:\n    ann: age1a # hers\n  recovery: age1r\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func TestOperatorsMayHavePlugins(t *testing.T) {
	recipient := plugin.EncodeRecipient("yubikey", []byte("anything"))
	got, err := AddRecipient([]byte("fleet: home\n"), "ann", recipient)
	if err != nil {
		t.Fatal(err)
	}
	repo, err := load(fstest.MapFS{fleet.File: {Data: got}}, "")
	if err != nil || repo.Fleet.Recipients.Operators["ann"] != recipient {
		t.Errorf("%v", err)
	}
	if _, err := SetRecovery(got, recipient); err == nil {
		t.Error("a plugin's key went onto the card")
	}
	_, err = AddRecipient(got, "bob", "AGE-PLUGIN-YUBIKEY-1QQQ")
	if err == nil || strings.Contains(err.Error(), "QQQ") {
		t.Errorf("an identity in place of a recipient: %v", err)
	}
}

func TestRemoveHostKeys(t *testing.T) {
	const in = "# pinned\nbeta.example.net ssh-ed25519 AAAA\n[beta.example.net]:2222 ssh-ed25519 BBBB\nalpha,beta.example.net,192.0.2.1 ssh-rsa CCCC mine\n@revoked beta.example.net ssh-rsa DDDD"
	const want = "# pinned\n[beta.example.net]:2222 ssh-ed25519 BBBB\nalpha,192.0.2.1 ssh-rsa CCCC mine\n@revoked beta.example.net ssh-rsa DDDD"
	if diff := cmp.Diff(want, string(RemoveHostKeys([]byte(in), "beta.example.net"))); diff != "" {
		t.Error(diff)
	}
	if got := string(RemoveHostKeys([]byte(in), "gamma")); got != in {
		t.Errorf("a name that is not there changed %q", got)
	}
}

// TestRemoveHost: package yamldoc says how files are edited, and when not.
func TestRemoveHost(t *testing.T) {
	got, err := RemoveHost([]byte("hosts: # all\n  alpha: {address: a}\n  beta: {address: b} # mine\nfleet: home\n"), "beta")
	if want := "hosts: # all\n  alpha: {address: a}\nfleet: home\n"; err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}
