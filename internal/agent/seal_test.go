package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

// sealFor gives a stack its seal, which the fleet's key signs, and has the host trust
// that key.
func sealFor(t *testing.T, h *Host, st *agentapi.Stack, host string, file agentapi.SealedFile) {
	t.Helper()
	in := seal.Inputs{Placement: seal.Placement{Host: host, Stack: st.Name, Epoch: st.Epoch}, Recipients: []string{h.base().key()}}
	sealed, err := seal.Seal(file, in, fleetKey())
	if err == nil {
		err = h.base().pin("home", sign.Keys{fleetKey().Public()})
	}
	if err != nil {
		t.Fatal(err)
	}
	st.Sealed, st.Signature, st.Inputs = sealed.File, sealed.Signature, in.Digest()
}

// TestS07AHostOpensWhatTheFleetHasSigned: who can push knows the host's public key and
// the digest of every seal.
func TestS07AHostOpensWhatTheFleetHasSigned(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, "alpha", t.TempDir(), "", 1)
	good := g.spec.Stacks[0]
	if _, err := g.base().at(g.spec, good).open(); err != nil || len(g.sealFindings(g.spec)) > 0 {
		t.Fatal(err, g.sealFindings(g.spec))
	}
	in := seal.Inputs{Placement: seal.Placement{Host: "alpha", Stack: guarded, Epoch: 1}, Recipients: []string{g.base().key()}}
	forged, err := seal.Seal(agentapi.SealedFile{Secrets: map[string][]byte{"API_KEY": []byte("chosen by eve")}}, in, newSigningKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]seal.Signed{
		"none": {File: forged.File}, "eve's": forged, "that of the seal before": {File: forged.File, Signature: good.Signature},
	} {
		st := good
		st.Sealed, st.Signature = s.File, s.Signature
		if _, err := g.base().at(g.spec, st).open(); !errors.Is(err, sign.ErrUntrusted) || !strings.Contains(err.Error(), "sealed/alpha/notes.age") || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		found := g.sealFindings(agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}})
		if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Code == finding.SealUntrusted && f.Subject == "alpha/notes" }) {
			t.Errorf("%s: findings %+v", name, found)
		}
	}
	older := good
	older.Inputs = "sha256:" + strings.Repeat("0", 64)
	if _, err := g.base().at(g.spec, older).open(); !errors.Is(err, seal.ErrMismatch) {
		t.Errorf("a seal that the fleet has signed for other secrets: %v", err)
	}
}
