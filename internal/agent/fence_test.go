package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// TestS04AForgedClaimStopsNoStack: root on another host leaves claims on the record
// remote, for which it has the credential.
func TestS04AForgedClaimStopsNoStack(t *testing.T) {
	const id = "01890000-0000-7000-8000-000000000000"
	remote := t.TempDir()
	alpha := newGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.base().Recipient()})
	alpha.starts(t)
	forged := map[string]string{"claims/" + heretest.Notes + "/7-" + id + ".json": `{"schema":1,"host":"beta","key":"age1beta","commit":"","at":"2026-01-02T03:04:05Z"}`}
	own := "claims/" + heretest.Notes + "/8-" + id + ".json"
	signed, err := heretest.NewKey().Enclose(record.ClaimKind, own, []byte(`{"schema":3,"host":"beta","key":"age1beta","commit":"","at":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	forged[own] = string(signed)
	for path, content := range forged {
		if err := os.WriteFile(filepath.Join(remote, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	who := ownership.New(alpha.base(), ownership.AskWithin)
	defer who.Close(t.Context())
	if err := who.Enforce(t.Context()); err != nil || !alpha.engine.Running(heretest.Notes) {
		t.Fatalf("stopped: %v", err)
	}
	st := alpha.spec.Stacks[0]
	v := who.Verdict(t.Context(), alpha.base().At(alpha.spec, st))
	if v.State != record.Own {
		t.Errorf("%+v", v)
	}
	found := ownershipFindings("alpha", st, alpha.base().Local(heretest.Notes), v)
	for path := range forged {
		if !slices.ContainsFunc(found, func(f finding.Finding) bool {
			return f.Code == finding.ClaimIgnored && f.Subject == path && strings.Contains(f.Text, "beta")
		}) {
			t.Errorf("no finding names %s and beta: %+v", path, found)
		}
	}
	// what the fleet signed stops it
	heretest.Claim(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	if err := who.Enforce(t.Context()); err != nil || alpha.engine.Running(heretest.Notes) {
		t.Errorf("it runs on: %v", err)
	}
}

// TestFence is fault V10: a running host is asked to stop what was taken over.
func TestFence(t *testing.T) {
	alpha := newGuarded(t, "alpha", t.TempDir(), "", 1)
	alpha.starts(t)
	if _, err := alpha.Fence(t.Context(), agentapi.Fence{Stacks: map[string]int{heretest.Notes: 1}}, progress.Discard()); err == nil || !alpha.engine.Running(heretest.Notes) {
		t.Errorf("stopped for an epoch that it runs at itself: %v", err)
	}
	for range 2 {
		_, err := alpha.Fence(t.Context(), agentapi.Fence{Stacks: map[string]int{heretest.Notes: 2, "unknown": 1}, Owner: "ann", Message: "recover alpha"}, progress.Discard())
		if local := alpha.base().Local(heretest.Notes); err != nil || !local.Lost || alpha.engine.Running(heretest.Notes) {
			t.Errorf("%+v, %v: it is not stopped", local, err)
		}
	}
}

// TestReleaseAgain is fault V5: a stack that was released answers with its final
// snapshot, unless it ran since.
func TestReleaseAgain(t *testing.T) {
	alpha := newGuarded(t, "alpha", t.TempDir(), "", 1)
	if err := alpha.base().SaveLocal(heretest.Notes, here.Local{Epoch: 1, Released: 1, Final: "5nap", Lost: true}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r, err := alpha.Release(t.Context(), agentapi.Release{Stack: heretest.Notes, Epoch: 1}, progress.Discard())
		if err != nil || r.Snapshot.ID != "5nap" {
			t.Errorf("%+v, %v", r, err)
		}
	}
	alpha.starts(t) // an apply took the move back
	r, err := alpha.Release(t.Context(), agentapi.Release{Stack: heretest.Notes, Epoch: 1}, progress.Discard())
	if err != nil || r.Snapshot.ID == "5nap" || r.Stopped.IsZero() {
		t.Errorf("answered without a look: %+v, %v", r, err)
	}
	if !slices.ContainsFunc(alpha.Machine.(*machinetest.Fake).Calls(), func(c machinetest.Call) bool { return strings.HasSuffix(strings.Join(c.Argv, " "), "notes stop") }) {
		t.Error("it was not stopped")
	}
}

// TestStatusTellsOfAMissingClaim is fault V9: beta runs what Git places there, and
// the record has lost its claim.
func TestStatusTellsOfAMissingClaim(t *testing.T) {
	remote := t.TempDir()
	beta := newGuarded(t, "beta", remote, "", 2)
	beta.spec.Git = agentapi.Git{URL: "file://" + heretest.PlacesOn(t, "beta", beta.base().Recipient(), 2), Branch: "main"}
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: "age1alpha"})
	beta.starts(t)
	verdicts := ownership.New(beta.base(), ownership.AskWithin).Verdicts(t.Context(), beta.spec)
	if verdicts[heretest.Notes].State != record.Own {
		t.Fatalf("%+v", verdicts)
	}
	found := ownershipFindings("beta", beta.spec.Stacks[0], here.Local{Epoch: 2}, verdicts[heretest.Notes])
	if len(found) != 1 || found[0].Code != "claim-missing" || !strings.Contains(found[0].Text, "epoch 2") {
		t.Errorf("%+v", found)
	}
}
