package app

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const (
	alphaReads = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	betaReads  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g"
)

// TestS19TheDeployKeyOfAHostIsNamed enrols a host, and names what is to be removed at
// the Git host when it is gone, by the fingerprint that the Git host shows.
func TestS19TheDeployKeyOfAHostIsNamed(t *testing.T) {
	k := newKeyed(t)
	k.commit(map[string][]byte{fleet.DeployKeysFile: []byte(betaReads + " beta\n")})
	private, err := sign.NewKey("alpha")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	k.do(func(a *App) error {
		h, _ := a.Checkout.Fleet.Host("alpha")
		add, err := a.Hosts.declare(t.Context(), h, "", enrolment(k.host, signer.Public()), true)
		if err != nil {
			return err
		}
		delete(add.Files, fleet.File) // declared it is already
		return a.Checkout.CommitFiles(t.Context(), add.Files, "enrolled")
	})
	public, _, _, _, err := ssh.ParseAuthorizedKey([]byte(alphaReads))
	if err != nil {
		t.Fatal(err)
	}
	a := k.open(k.ann)
	exposed, err := a.Exposed.ByHost(t.Context(), "alpha")
	if want := ssh.FingerprintSHA256(public); err != nil || exposed.DeployKey != want {
		t.Errorf("named %q, %v, want %s", exposed.DeployKey, err, want)
	}
	h, _ := a.Checkout.Fleet.Host("alpha")
	files, err := a.Hosts.withoutHost(h)
	if left := string(files[fleet.DeployKeysFile]); err != nil || strings.Contains(left, "alpha") || !strings.Contains(left, "beta") {
		t.Errorf("without alpha: %q, %v", left, err)
	}
	k.rename("gamma: {address: 192.0.2.10, formerly: alpha}")
	renamed := k.open(k.ann)
	if exposed, err := renamed.Exposed.ByHost(t.Context(), "gamma"); err != nil || exposed.DeployKey != ssh.FingerprintSHA256(public) {
		t.Errorf("under another name: %q, %v", exposed.DeployKey, err)
	}
}

func enrolment(host agekey.Key, signer sign.Public) agentapi.Enrolment {
	return agentapi.Enrolment{Recipient: host.Recipient, Signer: signer, GitKey: alphaReads + " salvor alpha"}
}
