// Package fleetkeystest makes a fleet with keys of its own, as salvor init leaves it, and
// opens it for tests.
package fleetkeystest

import (
	"maps"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/needs/needstest"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
	"salvor/internal/sign"
)

// A Fleet has a signing key, an SSH key and a recovery key, which ann's clone trusts.
type Fleet struct {
	*needstest.Fleet
	Host   agekey.Key // alpha's
	Signer sign.Key   // the fleet's
}

// Opened is a fleet at its newest commit, with its keys.
type Opened struct {
	needstest.Opened
	Confirmed *confirmation.Confirmed
	FleetKeys *fleetkeys.Keys
}

// New makes the fleet with files and secrets as needstest.New does. alpha is enrolled, if it
// is declared. Ann has confirmed all of it.
func New(t *testing.T, plain, secrets map[string]string) *Fleet {
	t.Helper()
	f := &Fleet{Fleet: needstest.New(t, plain, secrets)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	recipients := fleet.Recipients{Operators: map[string]string{"ann": f.Ann.Recipient}, Recovery: f.Recovery.Recipient}.All()
	files, signer, err := fleetkeys.NewSigning("home", recipients)
	must(err)
	f.Signer = signer
	ssh, _, err := fleetkeys.NewSSH(nil, secret.Value{}, recipients)
	must(err)
	sealed, err := seal.SealKey(f.Recovery, signer, f.Ann.Recipient)
	must(err)
	files[sops.ConfigPath], err = sops.Config(recipients)
	must(err)
	maps.Copy(files, ssh)
	maps.Copy(files, sealed.Files(agekey.RecoveryPath))
	signed := []string{fleet.AuthorizedKeysFile}
	if _, declared := f.Open(t, checkout.Committed).Checkout.Fleet.Host("alpha"); declared {
		f.Host, err = agekey.Generate()
		must(err)
		files["hosts/alpha.pub"] = hostkey.Keys{Recipient: f.Host.Recipient, Signer: signer.Public()}.File()
		signed = append(signed, "hosts/alpha.pub")
	}
	for _, path := range signed {
		files[hostkey.SignaturePath(path)], err = hostkey.Sign(path, files[path], signer)
		must(err)
	}
	f.Commit(t, files)
	must(confirmation.Pin(f.Open(t, checkout.Committed).Checkout.Git, "home", sign.Keys{signer.Public()}))
	f.Confirm(t, f.OpenKeys(t, f.Identity, Yes()).Checkout.Lock)
	return f
}

// Yes is an operator who says yes to everything that they are asked.
func Yes() confirmation.Options {
	return confirmation.Options{Approve: func(confirmation.Approval) error { return nil }, Grant: func([]grant.Grant) error { return nil }}
}

// Confirm has ann confirm what the newest commit grants where the lock is to be the next one.
func (f *Fleet) Confirm(t *testing.T, next fleet.Lock) {
	t.Helper()
	if err := f.OpenKeys(t, f.Identity, Yes()).Confirmed.ConfirmGrants(t.Context(), next); err != nil {
		t.Fatal(err)
	}
}

// OpenKeys opens the newest commit with an identity that has no passphrase. Its holder is
// asked as the options say; what stacks need is up to the fleet.
func (f *Fleet) OpenKeys(t *testing.T, identity string, o confirmation.Options) Opened {
	t.Helper()
	opened := Opened{Opened: f.OpenAs(t, identity, checkout.Committed)}
	c := opened.Checkout
	o.Needs = opened.At
	opened.Confirmed = confirmation.New(c, o)
	opened.Confirmed.Rendered(opened.Needs)
	opened.FleetKeys = fleetkeys.New(c, opened.Identity, opened.Needs, opened.Confirmed)
	c.Rules = checkout.Rules{Making: opened.Confirmed.Making, Sign: opened.FleetKeys.WithSignatures, Published: opened.Confirmed.Published, TakenBack: opened.Confirmed.TakenBack}
	return opened
}
