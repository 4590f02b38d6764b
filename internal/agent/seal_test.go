package agent

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

// TestS07AHostOpensWhatTheFleetHasSigned: who can push knows the host's public key and
// the digest of every seal.
func TestS07AHostOpensWhatTheFleetHasSigned(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, "alpha", t.TempDir(), "", 1)
	good := g.spec.Stacks[0]
	if _, err := g.base().At(g.spec, good).Open(); err != nil || len(g.sealFindings(g.spec)) > 0 {
		t.Fatal(err, g.sealFindings(g.spec))
	}
	in := seal.Inputs{Placement: seal.Placement{Host: "alpha", Stack: heretest.Notes, Epoch: 1}, Recipients: []string{g.base().Recipient()}}
	forged, err := seal.Seal(agentapi.SealedFile{Secrets: map[string][]byte{"API_KEY": []byte("chosen by eve")}}, in, heretest.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]seal.Signed{
		"none": {File: forged.File}, "eve's": forged, "that of the seal before": {File: forged.File, Signature: good.Signature},
	} {
		st := good
		st.Sealed, st.Signature = s.File, s.Signature
		if _, err := g.base().At(g.spec, st).Open(); !errors.Is(err, sign.ErrUntrusted) || !strings.Contains(err.Error(), "sealed/alpha/notes.age") || fault.Hint(err) == "" {
			t.Errorf("%s: %v", name, err)
		}
		found := g.sealFindings(agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}})
		if !slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Code == finding.SealUntrusted && f.Subject == "alpha/notes" }) {
			t.Errorf("%s: findings %+v", name, found)
		}
	}
	older := good
	older.Inputs = "sha256:" + strings.Repeat("0", 64)
	if _, err := g.base().At(g.spec, older).Open(); !errors.Is(err, seal.ErrMismatch) {
		t.Errorf("a seal that the fleet has signed for other secrets: %v", err)
	}
}

// guardedHost is a host whose engine and record only know what a test says.
type guardedHost struct {
	*Host
	engine *heretest.Dockerd
	spec   agentapi.Host
}

func newGuarded(t *testing.T, name, remote, git string, epoch int) *guardedHost {
	t.Helper()
	g := heretest.NewGuarded(t, name, remote, git, epoch)
	return &guardedHost{Host: (*Host)(g.Host), engine: g.Engine, spec: g.Spec}
}

// starts has the stack run here at its epoch.
func (g *guardedHost) starts(t *testing.T) {
	t.Helper()
	if err := g.base().SaveLocal(heretest.Notes, here.Local{Epoch: g.spec.Stacks[0].Epoch}); err != nil {
		t.Fatal(err)
	}
	g.engine.Set(heretest.Notes, true)
}
