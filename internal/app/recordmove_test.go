package app

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/card"
	"salvor/internal/claims"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/mirror"
	"salvor/internal/placement"
	"salvor/internal/record"
	"salvor/internal/recordmove"
	"salvor/internal/sign"
)

// claim claims the stack notes for alpha as an apply does.
func (k *keyed) claim(epoch int) {
	k.t.Helper()
	k.do(func(a *App) error {
		return a.Record.Claim(k.t.Context(), "notes", epoch, "alpha", a.Commit())
	})
}

func (k *keyed) owner() deploy.Owner {
	k.t.Helper()
	owners, err := k.open(k.ann).Record.Owners(k.t.Context(), []string{"notes"})
	if err != nil {
		k.t.Fatal(err)
	}
	return owners["notes"]
}

// TestS04AForgedClaimTakesNothingOver: with a remote's credential, files are left
// among the claims.
func TestS04AForgedClaimTakesNothingOver(t *testing.T) {
	k := newKeyed(t)
	k.claim(1)
	a := k.open(k.ann)
	r := a.Record
	folder, err := r.Open(t.Context(), a.Checkout.Fleet.Record)
	if err != nil {
		t.Fatal(err)
	}
	path := "claims/notes/9-01890000-0000-7000-8000-000000000000.json"
	signed, err := mustSigner(t).Enclose(record.ClaimKind, path, []byte(`{"schema":3,"host":"eve","commit":"","at":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Put(t.Context(), path, bytes.NewReader(signed), int64(len(signed))); err != nil {
		t.Fatal(err)
	}
	want := deploy.Owner{Host: "alpha", Key: k.host.Recipient, Epoch: 1}
	if got := k.owner(); got != want {
		t.Errorf("the claim is %+v, want %+v", got, want)
	}
	if epoch, err := r.Epoch(t.Context(), "notes"); err != nil || epoch != 1 {
		t.Errorf("epoch %d, %v", epoch, err)
	}
	rows, err := claims.List(t.Context(), k.open(k.ann).ForClaims(), "notes")
	if err != nil || len(rows) != 2 || rows[0].Host != "eve" || rows[0].Ignored == "" || rows[0].Rules || !rows[1].Rules || rows[1].Host != "alpha" {
		t.Errorf("%+v, %v", rows, err)
	}
	k.claim(2) // and nothing is in its way
	p, err := claims.PrepareDrop(t.Context(), k.open(k.ann).ForClaims(), "notes", rows[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), nil); err != nil {
		t.Errorf("drop %s: %v", rows[0].ID, err)
	}
	if _, err := claims.PrepareDrop(t.Context(), k.open(k.ann).ForClaims(), "notes", "01890000-0000-7000-8000-00000000ffff"); err == nil {
		t.Error("a claim that is not there is dropped")
	}
	if rows, err := claims.List(t.Context(), k.open(k.ann).ForClaims(), ""); err != nil || len(rows) != 2 || rows[0].Epoch != 2 || !rows[0].Rules || rows[1].Rules {
		t.Errorf("%+v, %v", rows, err)
	}
	if want.Epoch = 2; k.owner() != want {
		t.Errorf("the claim is %+v, want %+v", k.owner(), want)
	}
}

// TestTwoFleetsOnOneRemoteNeverTouch is fault D6: two fleets of one name, with the
// same stack and everything else left at its default, on one remote.
func TestTwoFleetsOnOneRemoteNeverTouch(t *testing.T) {
	one := newKeyed(t)
	other := newKeyedOn(t, one.disk)
	one.claim(1)
	other.claim(4)
	for _, k := range []*keyed{one, other} {
		k.do(func(a *App) error { return a.Mirrors.Renew(t.Context()) })
	}
	for k, epoch := range map[*keyed]int{one: 1, other: 4} {
		if got, want := k.owner(), (deploy.Owner{Host: "alpha", Key: k.host.Recipient, Epoch: epoch}); got != want {
			t.Errorf("the claim is %+v, want %+v", got, want)
		}
		k.atMirror("beside another fleet", k.open(k.ann).Commit())
	}
	r := one.open(one.ann).Record
	folder, err := r.Open(t.Context(), fleet.Location{Remote: "box", Path: "snapshots/blog/aa"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := folder.Put(t.Context(), "snapshots/s", strings.NewReader("x"), 1); err != nil {
		t.Fatal(err)
	}
	if used, err := r.Used(t.Context(), "blog"); err != nil || len(used) > 0 {
		t.Errorf("another fleet's repository counts: %v, %v", used, err)
	}
}

// moveTo moves the record as the command does, while no host answers.
func (k *keyed) moveTo(place string) recordmove.Receipt {
	k.t.Helper()
	o := k.options(k.ann)
	o.Connect = func(context.Context, fleet.Host) (machine.Machine, error) { return nil, machine.ErrUnreachable }
	p, err := recordmove.Prepare(openWith(k.t, o).ForRecordMove(), place)
	if err != nil {
		k.t.Fatal(err)
	}
	r, err := p.Run(k.t.Context(), nil)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// TestMoveRecord is fault D6: the command takes claims and mirror along; the card is
// made for the new place, and who has an older commit is led there.
func TestMoveRecord(t *testing.T) {
	k := newKeyed(t)
	k.claim(3)
	key := k.recovery()
	tested, err := card.Proven{key.Recipient: {}}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{card.ProvenPath: tested})
	k.do(func(a *App) error { return a.Mirrors.Renew(t.Context()) })
	was, before := k.owner(), k.open(k.ann)
	old, err := before.Mirrors.Card(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := k.moveTo("disk:" + strings.TrimPrefix(k.disk, "/") + "/elsewhere/record")
	if m.Files < 2 || m.From.Remote != "box" {
		t.Errorf("%+v", m)
	}
	if diff := cmp.Diff(was, k.owner()); diff != "" {
		t.Error(diff)
	}
	now := k.open(k.ann)
	if now.Fleet().Record != m.To || len(k.codes(finding.RecordMoved)) > 0 {
		t.Errorf("it is at %s", now.Fleet().Record)
	}
	if tried, err := card.ReadProven(now.Checkout.File); err != nil || len(tried) > 0 {
		t.Errorf("the old card counts as tried: %v, %v", tried, err)
	}
	made, err := now.Mirrors.Card(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if access, err := made.Access(); err != nil || access.Record != m.To {
		t.Errorf("the card leads to %s, %v", access.Record, err)
	}
	for _, c := range []card.Card{made, old} {
		access, err := c.Access()
		if err != nil {
			t.Fatal(err)
		}
		if m, _, unread, err := mirror.Fetch(t.Context(), key, access); err != nil || m.Commit == "" || len(unread) > 0 {
			t.Errorf("from %s: %v", access.Record, err)
		}
	}
	if owners, err := before.Record.Owners(t.Context(), []string{"notes"}); err != nil || owners["notes"] != was {
		t.Errorf("an older commit reads %+v, %v", owners, err)
	}
	k.moveTo("box:" + m.From.Path)
	if diff := cmp.Diff(was, k.owner()); diff != "" {
		t.Errorf("back again: %s", diff)
	}
}

// TestARemoteGetsAnotherName is fault D6: the record stays in its folder, and none is
// said to be one that can be deleted.
func TestARemoteGetsAnotherName(t *testing.T) {
	k := newKeyed(t)
	k.claim(3)
	was := k.owner()
	config, err := k.open(k.ann).Checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	box := "  box: {type: crypt, remote: \"disk:" + k.disk + "\", password: secret:box_password}\n"
	k.commit(map[string][]byte{fleet.File: []byte(strings.Replace(string(config), box, box+strings.Replace(box, "box:", "chest:", 1), 1))})
	if m := k.moveTo("chest"); !m.Same || m.Files == 0 || m.To.Remote != "chest" {
		t.Errorf("%+v", m)
	}
	if diff := cmp.Diff(was, k.owner()); diff != "" {
		t.Error(diff)
	}
	if m := k.moveTo("disk:" + strings.TrimPrefix(k.disk, "/") + "/elsewhere"); m.Same {
		t.Errorf("%+v", m)
	}
}

// TestS05OnlySignedFactsAreFolded: facts in alpha's name that alpha did not sign reach
// no lock, and each is a finding that names the file, or the host that signed it.
func TestS05OnlySignedFactsAreFolded(t *testing.T) {
	k := newKeyed(t)
	k.claim(1)
	born := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := k.open(k.ann)
	r := a.Record
	note := func(signs sign.Key, volume string) {
		t.Helper()
		err := r.With(t.Context(), func(rec *record.Record) error {
			own := rec.Trusting(record.Trust{Own: func(context.Context) (sign.Key, error) { return signs, nil }})
			_, err := own.AppendFact(t.Context(), "notes", record.Fact{Epoch: 1, Host: "alpha", Born: map[string]time.Time{volume: born}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	note(k.signs, "data")
	note(mustSigner(t), "forged")
	facts, ignored, err := r.Facts(t.Context(), a.Lock())
	if got := placement.Fold(a.Lock(), "notes", facts["notes"]...).Stacks["notes"].Volumes; err != nil || len(got) != 1 || !got["data"].Born.Equal(born) {
		t.Errorf("folded %+v, %v", got, err)
	}
	if len(ignored) != 1 || ignored[0].Code != finding.RecordIgnored || ignored[0].Subject != "facts/notes/1-2-alpha.json" {
		t.Errorf("ignored %+v", ignored)
	}
}

// atMirror fails unless the newest mirror is of this commit.
func (k *keyed) atMirror(what, want string) {
	k.t.Helper()
	if m, _, err := k.open(k.ann).Mirrors.Newest(k.t.Context()); err != nil || m.Commit != want {
		k.t.Errorf("%s: the mirror is of commit %q, want %q: %v", what, m.Commit, want, err)
	}
}
