package app

import (
	"errors"
	"os"
	"strings"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/secret"
)

// approveAll is an operator who says yes to everything.
func approveAll(confirmation.Approval) error { return nil }

// askedBy opens the newest commit for an operator who notes what they are asked and
// answers with err; nil means that no one can be asked.
func (k *keyed) askedBy(approve func(confirmation.Approval) error) *App {
	k.t.Helper()
	a, err := Open(k.t.Context(), Options{Dir: k.dir, Identity: k.ann, Sink: progress.Discard(), Work: quickWork, Approve: approve})
	if err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = a.Close() })
	return a
}

func remote(kind string, pairs ...string) fleet.Remote {
	r := fleet.Remote{Name: "nas", Type: kind, Options: map[string]secret.Setting{}}
	for i := 0; i < len(pairs); i += 2 {
		r.Options[pairs[i]] = secret.ParseSetting(pairs[i+1])
	}
	return r
}

// TestS01NothingIsSentUnasked opens the record, seals and makes the card without
// anyone who could approve the remote.
func TestS01NothingIsSentUnasked(t *testing.T) {
	k := newKeyed(t)
	a := k.askedBy(nil)
	approvals, err := a.Checkout.Git.OwnFile(t.Context(), "remotes")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(approvals); err != nil {
		t.Fatal(err) // what the fleet was made with
	}
	if _, err := a.Record.Epoch(t.Context(), "notes"); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the record: %v", err)
	}
	if _, err := a.Mirrors.Card(t.Context()); !errors.Is(err, confirmation.ErrUnapproved) {
		t.Errorf("the card: %v", err)
	}
	for _, r := range a.Checkout.Fleet.Remotes {
		if _, err := a.sealer().Remote(t.Context(), r); !errors.Is(err, confirmation.ErrUnapproved) {
			t.Errorf("the seal: %v", err)
		}
	}
}

// TestS06TheFleetsKeysAreDeliveredNowhere: by name, under another name, or to a
// remote.
func TestS06TheFleetsKeysAreDeliveredNowhere(t *testing.T) {
	k := newKeyed(t)
	k.do(func(a *App) error { _, err := a.Keys.PrepareSSHKey().Run(t.Context(), nil); return err })
	a := k.askedBy(approveAll)
	for _, deliver := range []func(*App) error{
		func(a *App) error {
			_, err := a.Needs.Store().DeliverFile(t.Context(), "secrets/fleet_ssh_key")
			return err
		},
		func(a *App) error {
			_, err := a.sealer().Remote(t.Context(), remote("webdav", "pass", "secret:fleet_ssh_key"))
			return err
		},
		func(a *App) error {
			_, err := a.sealer().Login(t.Context(), fleet.Registry{Name: "r", Username: secret.ParseSetting("u"), Password: secret.ParseSetting("secret:fleet_ssh_key")})
			return err
		},
		func(a *App) error { // anyone who can push can copy what they can't read
			content, err := a.Needs.File("secrets/fleet_ssh_key")
			if err != nil {
				return err
			}
			_, err = a.Needs.Over(map[string][]byte{"secrets/innocent": content}).Store().DeliverFile(t.Context(), "secrets/innocent")
			return err
		},
	} {
		if err := deliver(a); err == nil || !strings.Contains(err.Error(), "stays with the operators") {
			t.Errorf("delivered: %v", err)
		}
	}
}
