package keys

import (
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
	"salvor/internal/reach"
	"salvor/internal/sign"
)

// kept are the private keys that the fleet keeps for hosts.
func (k *keyed) kept() int {
	k.t.Helper()
	private, err := k.open(k.ann).Identity.Secret(k.t.Context(), reach.SSHKeyName)
	k.must(err)
	return len(sign.SplitKeys(private))
}

func (k *keyed) authorized() string {
	k.t.Helper()
	content, err := k.open(k.ann).Checkout.File(fleet.AuthorizedKeysFile)
	k.must(err)
	return string(content)
}

// TestTheSSHKeyIsRotatedInTwoSteps has no host that would have to accept the new one.
func TestTheSSHKeyIsRotatedInTwoSteps(t *testing.T) {
	t.Parallel()
	k := founded(t, nil, nil)
	old := k.open(k.ann).Keys.SSHKey()
	first, err := prepared(k.open(k.ann).Keys.PrepareRotateSSHKey())(t.Context())
	if err != nil || !first.Retired || first.Line == old || first.Line == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	if now := k.open(k.ann).Keys.SSHKey(); now != first.Line || k.kept() != 2 || !strings.Contains(k.authorized(), strings.Fields(old)[1]) {
		t.Errorf("the key is %s of %d, authorized are\n%s", now, k.kept(), k.authorized())
	}
	second, err := prepared(k.open(k.ann).Keys.PrepareRotateSSHKey())(t.Context())
	if err != nil || second.Retired || second.Line != first.Line {
		t.Fatalf("%+v, %v", second, err)
	}
	if k.kept() != 1 || strings.Contains(k.authorized(), strings.Fields(old)[1]) || !strings.Contains(k.authorized(), second.Line) {
		t.Errorf("%d keys are kept, authorized are\n%s", k.kept(), k.authorized())
	}
}

// TestAHostKeepsTheOldSSHKeyUntilItAcceptsTheNew has a host at which nothing answers.
func TestAHostKeepsTheOldSSHKeyUntilItAcceptsTheNew(t *testing.T) {
	t.Parallel()
	k := founded(t, map[string]string{fleet.File: "hosts:\n  alpha: {address: 127.0.0.1, port: 1}\n"}, nil)
	if _, err := prepared(k.open(k.ann).Keys.PrepareRotateSSHKey())(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := k.authorized()
	_, err := prepared(k.open(k.ann).Keys.PrepareRotateSSHKey())(t.Context())
	if err == nil || !strings.Contains(err.Error(), "alpha does not accept the new key yet") || !strings.Contains(fault.Hint(err), "salvor apply delivers it") {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	if k.kept() != 2 || k.authorized() != before {
		t.Errorf("%d keys are kept, authorized are\n%s", k.kept(), k.authorized())
	}
}

// TestAFleetGetsItsFirstSSHKey keeps the logins that are there.
func TestAFleetGetsItsFirstSSHKey(t *testing.T) {
	t.Parallel()
	k := founded(t, nil, nil)
	k.Commit(t, map[string][]byte{"secrets/" + reach.SSHKeyName: nil, fleet.AuthorizedKeysFile: nil, hostkey.SignaturePath(fleet.AuthorizedKeysFile): nil})
	none := k.open(k.ann).Keys
	if line := none.SSHKey(); line != "" {
		t.Fatalf("the key is %s", line)
	}
	if _, err := none.PrepareRotateSSHKey(); err == nil || fault.Hint(err) != "salvor key ssh creates it" {
		t.Errorf("what is not there was rotated: %v (%s)", err, fault.Hint(err))
	}
	made, err := none.PrepareSSHKey().Run(t.Context(), nil)
	if err != nil || made.Line == "" || made.Retired {
		t.Fatalf("%+v, %v", made, err)
	}
	if now := k.open(k.ann); now.Keys.SSHKey() != made.Line || k.kept() != 1 {
		t.Errorf("the key is %s of %d", now.Keys.SSHKey(), k.kept())
	}
}
