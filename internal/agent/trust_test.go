package agent

import (
	"os"
	"reflect"
	"slices"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

// TestS06AHostTrustsWhatTheOperatorLeft: not what Git says, and nothing that is not
// a key.
func TestS06AHostTrustsWhatTheOperatorLeft(t *testing.T) {
	t.Parallel()
	h := &Host{Machine: debiantest.New(), Paths: hostpath.Layout{Config: t.TempDir()}}
	if keys, err := h.base().Trusted(); err == nil || fault.Hint(err) == "" {
		t.Errorf("a host that was not enrolled trusts %q", keys)
	}
	want := sign.Keys{heretest.NewKey().Public()}
	if _, err := h.Enrol(t.Context(), agentapi.Enrol{Fleet: "home", Host: "alpha", Signers: want}, nil); err != nil {
		t.Fatal(err)
	}
	for name, again := range map[string]agentapi.Enrol{"no keys": {Fleet: "home"}, "none of a key": {Fleet: "home", Signers: sign.Keys{"ssh-ed25519 x\nhome ssh-ed25519 AAAA"}}} {
		_, err := h.Enrol(t.Context(), again, nil)
		if keys, readErr := h.base().Trusted(); readErr != nil || !slices.Equal(keys, want) || (err == nil) != (again.Signers == nil) {
			t.Errorf("%s: %v; trusted %q, %v", name, err, keys, readErr)
		}
	}
	info, err := os.Stat(h.Paths.Signers())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.WriteFile(h.Paths.Signers(), []byte("garbage\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if keys, err := h.base().Trusted(); err == nil {
		t.Errorf("garbage is %q", keys)
	}
}

// TestLostSigningKeysComeWithTheApply: an operator's apply brings them before anything
// is opened that they have signed.
func TestLostSigningKeysComeWithTheApply(t *testing.T) {
	t.Parallel()
	l := newLived(t)
	keys, err := l.Trusted()
	if err != nil {
		t.Fatal(err)
	}
	l.Spec.Signers = keys
	if err := os.WriteFile(l.Paths.Signers(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.agent().accept(l.Spec); err != nil {
		t.Fatal(err)
	}
	if receipt := l.Apply(); receipt.Error != nil {
		t.Error(receipt.Error)
	}
	if again, err := l.Trusted(); err != nil || !slices.Equal(again, keys) {
		t.Errorf("trusted %q, %v", again, err)
	}
}

// TestS05AHostSignsWithAKeyOfItsOwn: it is made once at enrolment, and no other user of
// the host reads it.
func TestS05AHostSignsWithAKeyOfItsOwn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	h := &Host{Machine: debiantest.New(), Paths: hostpath.Layout{Config: dir + "/etc", State: dir, Run: dir}}
	first, err := h.Enrol(t.Context(), agentapi.Enrol{Host: "alpha"}, progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	again, err := h.Enrol(t.Context(), agentapi.Enrol{Host: "alpha"}, progress.Discard())
	if err != nil || !reflect.DeepEqual(again, first) || (sign.Keys{first.Signer}).Check() != nil || h.base().Signer() != first.Signer {
		t.Errorf("enrolled as %+v, then %+v, %v", first, again, err)
	}
	if info, err := os.Stat(h.Paths.SigningKey()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := os.Chmod(h.Paths.SigningKey(), 0o644); err != nil {
		t.Fatal(err)
	}
	if key, err := h.base().Signing(); err == nil {
		t.Errorf("a key that others read signs as %s", key.Public())
	}
}
