package keys

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/seal"
)

func TestRevoke(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	bob, _ := k.grant("bob")
	k.opensAll("bob", bob)
	before := k.recovery()
	was := k.open(k.ann).Lock().Stacks["notes"]
	var h Receipt
	k.do(func(a *opened) (err error) { h, err = prepared(a.Keys.PrepareRevoke("bob"))(t.Context()); return err })
	k.opensNothing("bob", bob)
	k.opensNothing("the old card", before)
	k.opensSecrets("the new card", k.recovery())
	if _, still := k.open(k.ann).Fleet().Recipients.Operators["bob"]; still {
		t.Error("bob is declared")
	}
	k.checkRenewed(was)
	checkRotations(t, h)
	if want := []string{"secret box_password", "secret fleet_sign_key", "secret fleet_ssh_key", "secret notes/DB", "secret token"}; !slices.Equal(want, k.codes(finding.SecretSeen)) {
		t.Errorf("findings about %v, want %v", k.codes(finding.SecretSeen), want)
	}
}

// checkRenewed looks at the stack's new repository: the host has both passwords,
// nothing is left to seal, and a second change keeps the order.
func (k *keyed) checkRenewed(was fleet.Placement) {
	k.t.Helper()
	a := k.open(k.ann)
	lock := a.Lock()
	now := lock.Stacks["notes"]
	if now.Repositories["offsite"] == was.Repositories["offsite"] || now.Repositories["offsite"] == "" || now.Epoch != was.Epoch {
		k.t.Fatalf("placement %+v after %+v", now, was)
	}
	if diff := cmp.Diff(map[string][]string{"offsite": {was.Repositories["offsite"]}}, now.Former); diff != "" {
		k.t.Error(diff)
	}
	s := a.sealer()
	if stale, err := s.Stale(k.t.Context(), lock); err != nil || len(stale) != 0 {
		k.t.Errorf("seals out of date in the same commit: %v, %v", stale, err)
	}
	sealed, err := s.Current("alpha", "notes")
	if err != nil {
		k.t.Fatal(err)
	}
	trusted, err := a.Confirmed.Trusted()
	if err != nil {
		k.t.Fatal(err)
	}
	file, err := seal.Signed{File: sealed.File, Signature: sealed.Signature}.Open(trusted, k.Host, seal.Placement{Host: "alpha", Stack: "notes", Epoch: 1}, sealed.Inputs)
	if err != nil {
		k.t.Fatal(err)
	}
	old, fresh := file.Repositories[was.Repositories["offsite"]], file.Repositories[now.Repositories["offsite"]]
	if len(file.Repositories) != 2 || len(old) == 0 || len(fresh) == 0 || string(old) == string(fresh) {
		k.t.Errorf("the host gets passwords of %v", slices.Sorted(maps.Keys(file.Repositories)))
	}
}

func checkRotations(t *testing.T, h Receipt) {
	t.Helper()
	got := map[string]string{}
	for _, r := range h.Exposed {
		got[r.Name] = r.Command
		if (r.First != "") != (r.Name == "box_password") {
			t.Errorf("%s is given out by a provider: %v", r.Name, r.First)
		}
	}
	want := map[string]string{
		"token": "salvor secret rotate token --generate", "notes/DB": "salvor secret rotate notes/DB --generate",
		"box_password": "salvor secret rotate box_password", "fleet_sign_key": "salvor key rotate --signing", "fleet_ssh_key": "salvor key ssh --rotate",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !slices.Equal(h.Stacks, []string{"notes"}) {
		t.Errorf("stacks with new repositories: %v", h.Stacks)
	}
}

func TestRevokeTwiceKeepsEveryRepository(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	var ids []string
	for _, name := range []string{"bob", "carl"} {
		k.grant(name)
		lock := k.open(k.ann).Lock()
		ids = append(ids, lock.Stacks["notes"].Repositories["offsite"])
		k.do(func(a *opened) error { _, err := prepared(a.Keys.PrepareRevoke(name))(t.Context()); return err })
	}
	lock := k.open(k.ann).Lock()
	if got := lock.Stacks["notes"].Former["offsite"]; !slices.Equal(ids, got) {
		t.Errorf("former repositories are %v, want %v", got, ids)
	}
}

func TestRevokeRefuses(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	head := k.open(k.ann).Commit()
	if _, err := prepared(k.open(k.ann).Keys.PrepareRevoke("ann"))(t.Context()); err == nil || !strings.Contains(err.Error(), "only operator") {
		t.Errorf("the last operator: %v", err)
	}
	if got := k.open(k.ann).Commit(); got != head {
		t.Error("a refused revoke committed something")
	}
	_, bobs := k.grant("bob")
	head = k.open(k.ann).Commit()
	if _, err := prepared(k.open(k.ann).Keys.PrepareRevoke("ann"))(t.Context()); err == nil || !strings.Contains(err.Error(), "ann's own") {
		t.Errorf("ann removes herself: %v", err)
	}
	if _, err := prepared(k.open(k.ann).Keys.PrepareRevoke("eve"))(t.Context()); err == nil {
		t.Error("nobody was removed")
	}
	if got := k.open(k.ann).Commit(); got != head {
		t.Error("a refused revoke committed something")
	}
	both := filepath.Join(t.TempDir(), "both.age")
	joinFiles(t, both, k.ann, bobs)
	if h, err := prepared(k.open(both).Keys.PrepareRevoke("ann"))(t.Context()); err != nil || !h.OwnToo {
		t.Errorf("who has another key stays: %+v, %v", h, err)
	}
}

func joinFiles(t *testing.T, to string, from ...string) {
	t.Helper()
	var all []byte
	for _, f := range from {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	if err := os.WriteFile(to, all, 0o600); err != nil {
		t.Fatal(err)
	}
}
