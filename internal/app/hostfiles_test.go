package app

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/hostkey"
	"salvor/internal/lockfile"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

// doubts are the files of hosts/ that findings name.
func (k *keyed) doubts() []string {
	k.t.Helper()
	var files []string
	for _, f := range k.open(k.ann).Findings() {
		if f.Code == finding.HostsUntrusted {
			files = append(files, f.Subject)
		}
	}
	return files
}

// trusts has this clone trust the fleet's key, as the first command does.
func (k *keyed) trusts() {
	k.t.Helper()
	k.do(func(a *App) error { _, err := a.Confirmed.Trusted(); return err })
}

// TestS06HostFilesCarryTheFleetsSignature: someone who can push puts another key in
// place of alpha's and gives themselves access, with a signature of their own, none,
// or one from another file. Each is a finding that names the file, and a grant that
// says it.
func TestS06HostFilesCarryTheFleetsSignature(t *testing.T) {
	k := newKeyed(t)
	k.trusts()
	if files := k.doubts(); len(files) > 0 {
		t.Fatalf("as Salvor wrote them: %v", files)
	}
	const pub = "hosts/alpha.pub"
	a := k.open(k.ann)
	good, err := a.Checkout.File(pub)
	if err != nil {
		t.Fatal(err)
	}
	goodSignature, err := a.Checkout.File(hostkey.SignaturePath(pub))
	if err != nil {
		t.Fatal(err)
	}
	logins, err := a.Checkout.File(fleet.AuthorizedKeysFile)
	if err != nil {
		t.Fatal(err)
	}
	letIn, err := a.Checkout.File(hostkey.SignaturePath(fleet.AuthorizedKeysFile))
	if err != nil {
		t.Fatal(err)
	}
	eve := hostkey.Keys{Recipient: newKey(t).Recipient, Signer: k.signs.Public()}.File()
	own, err := hostkey.Sign(pub, eve, mustSigner(t))
	if err != nil {
		t.Fatal(err)
	}
	for name, files := range map[string]map[string][]byte{
		"another key":      {pub: eve},
		"signed by eve":    {pub: eve, pub + ".sig": own},
		"another's place":  {pub: eve, pub + ".sig": letIn},
		"no signature":     {pub + ".sig": nil},
		"another to sign":  {pub: hostkey.Keys{Recipient: k.host.Recipient, Signer: mustSigner(t).Public()}.File()},
		"somebody let in":  {fleet.AuthorizedKeysFile: append(slices.Clone(logins), []byte(alphasKey+" eve\n")...)},
		"junk as the sign": {pub + ".sig": []byte("\x00")},
	} {
		k.commit(files)
		file, gives := pub, "host/alpha"
		if name == "somebody let in" {
			file, gives = fleet.AuthorizedKeysFile, "login/"
		}
		if got := k.doubts(); !slices.Equal(got, []string{file}) {
			t.Errorf("%s: findings name %q", name, got)
		}
		if files[file] != nil {
			s, err := k.open(k.ann).Session(t.Context(), progress.Discard())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Granted(t.Context(), s.Lock); !isUnconfirmed(err) {
				t.Errorf("%s: not asked about: %v", name, err)
			}
			all := grantsOf(t, k.open(k.ann))
			if !slices.ContainsFunc(all, func(g grant.Grant) bool {
				return strings.HasPrefix(g.Name, gives) && strings.HasSuffix(g.Text, "this is not signed with the fleet's key")
			}) {
				t.Errorf("%s: grants %+v", name, all)
			}
		}
		k.commit(map[string][]byte{pub: good, pub + ".sig": goodSignature, fleet.AuthorizedKeysFile: logins})
	}
}

// TestS06WhatIsConfirmedIsSigned: an operator lets a colleague in by hand. The apply
// that asks about it signs the file, so that other clones trust it.
func TestS06WhatIsConfirmedIsSigned(t *testing.T) {
	k := newKeyed(t)
	k.trusts()
	a := k.open(k.ann)
	logins, err := a.Checkout.File(fleet.AuthorizedKeysFile)
	if err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{fleet.AuthorizedKeysFile: append(slices.Clone(logins), []byte(olgasLogin+" olga\n")...), "hosts/alpha.pub.sig": nil})
	o := k.options(k.ann)
	o.Grant = func([]grant.Grant) error { return nil }
	a = openWith(t, o)
	s, err := a.Session(t.Context(), progress.Discard())
	if err != nil {
		t.Fatal(err)
	}
	s.Sink = progress.Discard()
	if settled, err := s.Settled(t.Context()); settled || err != nil {
		t.Errorf("settled: %v, %v", settled, err)
	}
	if _, err := s.Apply(t.Context(), deploy.Plan{}, s.Lock, deploy.Options{Kind: "apply"}); err != nil {
		t.Fatal(err)
	}
	if files := k.doubts(); len(files) > 0 {
		t.Errorf("after the apply: %v", files)
	}
	now := k.open(k.ann)
	signed := map[string][]byte{}
	if err := now.FleetKeys.ResignHosts(signed, sign.Keys{now.trusts(t)}, mustSigner(t)); err != nil || signed["hosts/alpha.pub.sig"] == nil || signed["hosts/authorized_keys.sig"] == nil {
		t.Errorf("another signing key leaves out hosts/: %v", err)
	}
	files, err := now.FleetKeys.WithSignatures(t.Context(), map[string][]byte{"hosts/alpha.pub": nil}, false)
	if _, gone := files["hosts/alpha.pub.sig"]; err != nil || !gone {
		t.Errorf("a host is removed, and its signature stays: %v", err)
	}
}

func (a *App) trusts(t *testing.T) sign.Public {
	t.Helper()
	keys, err := a.Confirmed.Trusted()
	if err != nil {
		t.Fatal(err)
	}
	return keys[0]
}

// TestS06ANewCloneTakesNoUnsignedHost: the commit that swaps alpha's key looks like an
// apply's, from which a new clone takes what was granted.
func TestS06ANewCloneTakesNoUnsignedHost(t *testing.T) {
	k := newKeyed(t)
	k.trusts()
	lock, err := k.open(k.ann).Checkout.File(lockfile.Name)
	if err != nil {
		t.Fatal(err)
	}
	eve := hostkey.Keys{Recipient: newKey(t).Recipient, Signer: k.signs.Public()}.File()
	k.commit(map[string][]byte{"hosts/alpha.pub": eve, lockfile.Name: append(lock, '\n')})
	if err := os.Remove(filepath.Join(k.dir, ".git", "salvor", confirmation.LedgerFile)); err != nil {
		t.Fatal(err)
	}
	all := grantsOf(t, k.open(k.ann))
	if !slices.Equal(grant.Names(all), []string{"host/alpha"}) {
		t.Errorf("asked about %+v", all)
	}
}
