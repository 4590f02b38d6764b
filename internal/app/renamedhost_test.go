package app

import (
	"strings"
	"testing"

	"salvor/internal/deploy"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/progress"
)

// rename commits alpha under another name, with or without formerly:.
func (k *keyed) rename(entry string) {
	k.t.Helper()
	k.do(func(a *App) error {
		config, err := a.Checkout.File(fleet.File)
		if err != nil {
			return err
		}
		return a.Checkout.CommitFiles(k.t.Context(), map[string][]byte{
			fleet.File:                  []byte(strings.Replace(string(config), "alpha: {address: 192.0.2.10}", entry, 1)),
			"stacks/notes/compose.yaml": []byte(strings.Replace(keyedStack, "host: alpha", "host: gamma", 1)),
		}, "renamed")
	})
}

// TestARenamedHostIsTheSameMachine is fault V17 for hosts: its claims count, nothing
// moves, and one commit has its lock, its key and its seals under the new name.
func TestARenamedHostIsTheSameMachine(t *testing.T) {
	k := newKeyed(t)
	k.claim(1)
	k.rename("gamma: {address: 192.0.2.10, formerly: alpha}")
	a := k.open(k.ann)
	r := a.Record
	owners, err := r.Owners(t.Context(), []string{"notes"})
	if want := (deploy.Owner{Host: "gamma", Key: k.host.Recipient, Epoch: 1}); err != nil || owners["notes"] != want {
		t.Errorf("owned by %+v, %v", owners["notes"], err)
	}
	if err := r.Claim(t.Context(), "notes", 1, "gamma", a.Commit()); err != nil {
		t.Errorf("the claim that it has: %v", err)
	}
	next, moves := placement.Next(a.Fleet(), a.Lock(), nil)
	if len(moves) > 0 || next.Stacks["notes"].Epoch != 1 {
		t.Errorf("it moves: %+v", moves)
	}
	s, err := a.Session(t.Context(), progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	s.Sink = progress.Discard()
	if _, err := s.Apply(t.Context(), deploy.Plan{}, next, deploy.Options{Kind: "apply"}); err != nil {
		t.Fatal(err)
	}
	now := k.open(k.ann)
	for file, want := range map[string]bool{"hosts/gamma.pub": true, "hosts/alpha.pub": false, "sealed/gamma/notes.age": true, "sealed/alpha/notes.age": false} {
		if _, err := now.Checkout.File(file); (err == nil) != want {
			t.Errorf("%s: %v", file, err)
		}
	}
	if lock, err := now.Checkout.File(lockfile.Name); err != nil || !strings.Contains(string(lock), `"host": "gamma"`) {
		t.Errorf("%s, %v", lock, err)
	}
	if stale, err := now.sealer().Stale(t.Context(), now.Lock()); err != nil || len(stale) > 0 {
		t.Errorf("still to be sealed: %v, %v", stale, err)
	}
	if exposed, err := now.Exposed.ByHost(t.Context(), "gamma"); err != nil || len(exposed.Stacks) != 1 {
		t.Errorf("it left %+v, %v", exposed, err)
	}
}
