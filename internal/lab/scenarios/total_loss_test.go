package scenarios

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/lab"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/scenario"
	"salvor/internal/lab/world"
)

// TestLosses has scenarios that share a world, in which hosts are lost one after
// the other and then everything.
func TestLosses(t *testing.T) {
	s := scenario.Begin(t, usualFor)
	var collector oracle.Collector
	w, host, stacks := rested(t, s, &collector)
	t.Run("interrupted-recovery", func(t *testing.T) { host = interruptedRecovery(t, s, w, &collector, host, stacks) })
	if !t.Failed() {
		t.Run("total-loss", func(t *testing.T) { totalLoss(t, s, w, &collector, host, stacks) })
	}
}

// totalLoss loses every host, the operator's computer and the Git host at once.
// What is left is the printed card, the salvor program and the remote.
func totalLoss(t *testing.T, s *scenario.Scenario, w *world.World, collector *oracle.Collector, host *lab.Host, stacks []world.Stack) {
	ctx := t.Context()
	revoked(t, s, w)
	page, err := w.Salvor(ctx, nil, "key", "card", "--html")
	must(t, err)
	if n := strings.Count(page, "data:image/png"); n < 2 {
		t.Errorf("the page to print has %d codes", n)
	}
	card, err := w.Salvor(ctx, nil, "key", "card")
	must(t, err)
	proves(t, s, w, card)

	must(t, host.Kill(ctx))
	must(t, w.Git.Down(ctx))
	must(t, w.LoseOperator())
	began := time.Now()
	fresh, err := w.Fresh("survivor")
	must(t, err)
	file := filepath.Join(filepath.Dir(fresh.Dir), "card.txt")
	must(t, os.WriteFile(file, []byte(card), 0o600))
	misread(t, fresh, file, card)
	said, err := fresh.Salvor(ctx, nil, "clone", "--card", file, fresh.Dir)
	must(t, err)
	t.Log(said)

	gamma, err := w.Host(ctx, "gamma", lab.HostOptions{Prepared: true})
	must(t, err)
	letIn(t, fresh, file, gamma)
	key, err := world.Fingerprint(ctx, gamma)
	must(t, err)
	receipt, err := fresh.Salvor(ctx, nil, "--identity", file, "recover", host.Name, "--to", "gamma=root@"+gamma.Address.String(), "--host-key", key)
	must(t, err)
	t.Logf("from the card to running stacks in %s, the start of a clean host among it\n%s", time.Since(began).Round(time.Second/10), receipt)
	allRows(t, s, collector, gamma, stacks)
	s.Count("seconds from card to running", int(time.Since(began).Seconds()))
}

// revoked lets a second operator in and removes them again. From then on every stack
// has a new snapshot repository, in which nothing is when the loss comes: the data
// comes back from the former ones.
func revoked(t *testing.T, s *scenario.Scenario, w *world.World) {
	t.Helper()
	ctx := t.Context()
	bob := filepath.Join(w.Lab.Folder(), "bob.age")
	recipient, err := w.Salvor(ctx, nil, "--identity", bob, "key", "new")
	must(t, err)
	_, err = w.Salvor(ctx, nil, "secret", "grant", "bob", strings.TrimSpace(recipient))
	must(t, err)
	_, err = w.Salvor(ctx, nil, "--identity", bob, "secret", "get", "nas_password")
	must(t, err)
	said, err := w.Salvor(ctx, nil, "secret", "revoke", "bob")
	must(t, err)
	t.Log(said)
	refused(t, w, fault.SecretsShut, "nas_password", "--identity", bob, "secret", "get", "nas_password")
	found, err := w.Salvor(ctx, nil, "check", "--json")
	must(t, err)
	if n := strings.Count(found, `"secret-seen"`); n != 4 {
		t.Errorf("%d secrets are said to be seen by the operator who is removed, want 4:\n%s", n, found)
	}
	_, err = w.Salvor(ctx, nil, "apply")
	must(t, err)
	audit, err := w.Salvor(ctx, nil, "secret", "audit", "nas_password")
	must(t, err)
	if !strings.Contains(audit, "bob (") || !strings.Contains(audit, "secret get nas_password") {
		t.Errorf("the audit does not say that bob opened the secret:\n%s", audit)
	}
	s.Count("operators removed", 1)
}

// letIn has a new server take the fleet's SSH key and no other, as a provider's
// form does it: the survivor's computer has no key of its own.
func letIn(t *testing.T, w *world.World, card string, h *lab.Host) {
	t.Helper()
	line, err := w.Salvor(t.Context(), nil, "--identity", card, "key", "ssh")
	must(t, err)
	must(t, h.WriteFile(t.Context(), "/root/.ssh/authorized_keys", line))
}

// proves tries the card while everything works: a fleet whose card was never tried
// has a finding.
func proves(t *testing.T, s *scenario.Scenario, w *world.World, card string) {
	t.Helper()
	ctx := t.Context()
	file := filepath.Join(w.Lab.Folder(), "card.txt")
	must(t, os.WriteFile(file, []byte(card), 0o600))
	check := func() string {
		out, err := w.Salvor(ctx, nil, "check", "--json")
		must(t, err)
		return out
	}
	if found := check(); !strings.Contains(found, "key-unproven") {
		t.Errorf("a card that was never tried is no finding:\n%s", found)
	}
	proof, err := w.Salvor(ctx, nil, "--identity", file, "key", "prove")
	must(t, err)
	t.Log(proof)
	// two former repositories, and of the new ones those that have a snapshot already
	if !regexp.MustCompile("^The recovery key opens everything: 4 secrets, [34] snapshot repositories").MatchString(proof) {
		t.Errorf("the proof says %q", proof)
	}
	if found := check(); strings.Contains(found, "key-unproven") {
		t.Errorf("a card that was tried is a finding:\n%s", found)
	}
	s.Count("keys proven", 1)
	must(t, os.Remove(file))
}

// misread tries a card with a wrong character first: nothing is cloned.
func misread(t *testing.T, w *world.World, file, card string) {
	t.Helper()
	wrong := strings.Replace(card, "AGE-SECRET-KEY-1", "AGE-SECRET-KEY-1Q", 1)
	must(t, os.WriteFile(file, []byte(wrong), 0o600))
	refused(t, w, fault.General, "compare the file with the printed page", "clone", "--card", file, w.Dir)
	if _, err := os.Stat(w.Dir); err == nil {
		t.Error("a misread card left a folder")
	}
	must(t, os.WriteFile(file, []byte(card), 0o600))
}
