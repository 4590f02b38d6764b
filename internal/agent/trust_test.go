package agent

import (
	"os"
	"slices"
	"testing"

	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/hostpath"
	"salvor/internal/sign"
)

// TestS06AHostTrustsWhatTheOperatorLeft: not what Git says, and nothing that is not
// a key.
func TestS06AHostTrustsWhatTheOperatorLeft(t *testing.T) {
	t.Parallel()
	h := &Host{Paths: hostpath.Layout{Config: t.TempDir()}}
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
	l := newLived(t)
	keys, err := l.base().Trusted()
	if err != nil {
		t.Fatal(err)
	}
	l.spec.Signers = keys
	if err := os.WriteFile(l.Paths.Signers(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.accept(l.spec); err != nil {
		t.Fatal(err)
	}
	if receipt := l.apply(); receipt.Error != nil {
		t.Error(receipt.Error)
	}
	if again, err := l.base().Trusted(); err != nil || !slices.Equal(again, keys) {
		t.Errorf("trusted %q, %v", again, err)
	}
}
