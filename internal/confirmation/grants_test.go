package confirmation

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/lockfile"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign/signtest"
)

func newRecipient(t *testing.T) string {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key.Recipient
}

// TestS06WhatAPushGivesIsAGrant: each line that gives away the fleet is named, and
// nothing that is as it was confirmed.
func TestS06WhatAPushGivesIsAGrant(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	if all := c.grants(); len(all) != 0 {
		t.Fatalf("after all was confirmed: %v", all)
	}
	eve, config, ann := newRecipient(t), c.config(), c.Ann.Recipient
	with := func(old, new string) map[string]string {
		return map[string]string{fleet.File: strings.Replace(config, old, new, 1)}
	}
	stack := func(secret string) map[string]string {
		return map[string]string{"stacks/extra/compose.yaml": "x-salvor: {host: alpha}\nservices: {app: {image: a:1, secrets: [innocent]}}\nsecrets: {innocent: {external: true, name: " + secret + "}}\n"}
	}
	for name, test := range map[string]struct {
		files map[string]string
		grant string // its name
		text  string // a part of it
	}{
		"an operator":            {with("{ann: "+ann+"}", "{ann: "+ann+", eve: "+eve+"}"), "operator/eve", "eve can open everything from now on, with the key " + eve},
		"an operator's key":      {with("{ann: "+ann+"}", "{ann: "+eve+"}"), "operator/ann", "ann's key changes from " + ann + " to " + eve},
		"the recovery key":       {with("recovery: "+c.Recovery.Recipient, "recovery: "+eve), "recovery", eve},
		"a host's key":           {map[string]string{"hosts/alpha.pub": eve + "\n"}, "host/alpha", "alpha's key changes from " + c.host + " to " + eve},
		"an address":             {with("192.0.2.10", "192.0.2.66"), "address/alpha", "root@192.0.2.66"},
		"a jump host":            {with("{address: 192.0.2.10}", "{address: 192.0.2.10, jump: root@192.0.2.66}"), "address/alpha", "root@192.0.2.10 through root@192.0.2.66"},
		"a host key":             {map[string]string{fleet.KnownHostsFile: "192.0.2.10 " + olgasLogin + "\n"}, "key/192.0.2.10", "alpha 192.0.2.10 is the server that presents the ssh-ed25519 key SHA256:"},
		"an authority":           {map[string]string{fleet.KnownHostsFile: "192.0.2.10 " + alphasKey + "\n@cert-authority * " + olgasLogin + "\n"}, "key/@cert-authority *", "SHA256:"},
		"a login":                {map[string]string{fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n" + alphasKey + " olga@laptop\n"}, "login/SHA256:", "olga@laptop as root on every host"},
		"another stack's secret": {stack("nas_password"), "secret/extra", "stack extra on alpha gets the secret nas_password that stack notes uses"},
		"a secret of the fleet":  {stack("registry"), "secret/extra", "the secret registry that registry registry.example.net uses"},
		"a registry":             {with("registries:\n", "registries:\n  evil.example: {username: x, password: secret:nas_password}\n"), "registry/evil.example", "registry evil.example gets the secret nas_password"},
		"Cloudflare's token":     {map[string]string{fleet.File: config + "ingress: {provider: cloudflare, account: a1, token: secret:nas_password}\n"}, "ingress/cloudflare", "ingress cloudflare gets the secret nas_password"},
		"the repository":         {map[string]string{fleet.File: config + "git: {url: 'ssh://git@evil.example/fleet'}\n"}, "source/git", "hosts take the repository from ssh://git@evil.example/fleet"},
		"Docker's address":       {map[string]string{fleet.File: config + "docker: {channel: docker, url: 'https://evil.example/docker', key: KEY}\n"}, "source/docker", "https://evil.example/docker"},
		"a host": {map[string]string{fleet.File: strings.Replace(config, "hosts:\n", "hosts:\n  evil: {address: 192.0.2.66}\n", 1), "hosts/evil.pub": eve + "\n"},
			"host/evil", "evil is a host of the fleet: its secrets are sealed for " + eve},
	} {
		t.Run(name, func(t *testing.T) {
			c.t = t
			confirmed, err := os.ReadFile(c.note(LedgerFile))
			if err != nil {
				t.Fatal(err)
			}
			before := map[string][]byte{}
			for path := range test.files {
				before[path], _ = os.ReadFile(filepath.Join(c.Dir, path)) // nil where there is none
			}
			c.push(test.files)
			all := c.grants()
			i := slices.IndexFunc(all, func(g grant.Grant) bool { return strings.HasPrefix(g.Name, test.grant) })
			if i < 0 || !strings.Contains(all[i].Text, test.text) {
				t.Errorf("grants: %+v", all)
			}
			now := c.open(Options{})
			if err := now.ConfirmGrants(t.Context(), now.checkout.Lock); !isUnconfirmed(err) {
				t.Errorf("where no one can be asked: %v", err)
			}
			c.Commit(t, before)
			if err := os.WriteFile(c.note(LedgerFile), confirmed, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	c.t = t
	if all := c.grants(); len(all) != 0 {
		t.Errorf("as it was: %v", all)
	}
}

// TestS06WhatIsRefusedIsAskedAgain: nothing is encrypted to a recipient that the operator
// did not confirm, and one confirmation is enough.
func TestS06WhatIsRefusedIsAskedAgain(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	ann := c.Ann.Recipient
	c.push(map[string]string{fleet.File: strings.Replace(c.config(), "{ann: "+ann+"}", "{ann: "+ann+", eve: "+newRecipient(t)+"}", 1)})
	if to, err := c.open(Options{}).Recipients(t.Context()); err != nil || !slices.Equal(slices.Sorted(slices.Values(to)), slices.Sorted(slices.Values([]string{ann, c.Recovery.Recipient}))) {
		t.Errorf("a mirror is encrypted to %v, %v", to, err)
	}
	if err := c.open(Options{Grant: func([]grant.Grant) error { return errNo }}).MayEncrypt(t.Context()); !errors.Is(err, errNo) {
		t.Errorf("refused: %v", err)
	}
	asked := 0
	for range 2 {
		if err := c.open(Options{Grant: func([]grant.Grant) error { asked++; return nil }}).MayEncrypt(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if to, err := c.open(Options{}).Recipients(t.Context()); err != nil || len(to) != 3 || asked != 1 {
		t.Errorf("asked %d times, encrypted to %v, %v", asked, to, err)
	}
}

// TestS06OwnSecretsAreNoGrant: what this clone has set is its operator's to give, once to
// the stack that they had in mind; after it was delivered another stack is a question.
func TestS06OwnSecretsAreNoGrant(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	c.Commit(t, c.Encrypt(t, "token", "s3cret"))
	if err := c.open(Options{}).NoteMade(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	const given = "x-salvor: {host: alpha}\nservices: {app: {image: a:1, secrets: [token]}}\nsecrets: {token: {external: true}}\n"
	c.push(map[string]string{"stacks/web/compose.yaml": given})
	if all := c.grants(); len(all) != 0 {
		t.Errorf("own work: %v", all)
	}
	if err := c.open(Options{}).Delivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := c.grants(); len(all) != 0 {
		t.Errorf("after it was delivered: %v", all)
	}
	c.push(map[string]string{"stacks/evil/compose.yaml": given})
	if all := c.grants(); len(all) != 1 || !strings.Contains(all[0].Text, "stack evil on alpha gets the secret token that stack web uses") {
		t.Errorf("another stack: %v", all)
	}
}

// TestS06AForgedSealHidesNoGrant: a seal with the right digest, which everyone can
// compute, does not stand for a confirmation: neither where the stack is sealed anyway
// nor where a seal of the fleet's would do.
func TestS06AForgedSealHidesNoGrant(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	c.push(map[string]string{
		lockfile.Name:               `{"schema": 1, "stacks": {"notes": {"host": "alpha", "epoch": 1}}}` + "\n",
		"sealed/alpha/notes.age":    "an older one",
		"stacks/notes/compose.yaml": strings.Replace(notes, "[nas_password]", "[nas_password, registry]", 1) + "  registry: {external: true}\n",
	})
	for _, epoch := range []int{1, 2} {
		now := c.open(Options{})
		next := now.checkout.Lock.Copy()
		next.Stacks["notes"] = fleet.Placement{Host: "alpha", Epoch: epoch}
		in, err := now.needs.Inputs("notes", next)
		if err != nil {
			t.Fatal(err)
		}
		forged, err := seal.Seal(agentapi.SealedFile{}, in, signtest.NewKey())
		if err != nil {
			t.Fatal(err)
		}
		c.Commit(t, forged.Files(in.Placement.Path()))
		all, err := c.open(Options{}).Grants(t.Context(), next)
		if err != nil || len(all) == 0 {
			t.Errorf("epoch %d: %v, %v", epoch, all, err)
		}
	}
}

// TestS06ACloneBeginsWithTheLastApply: what came since then is asked about there, too.
func TestS06ACloneBeginsWithTheLastApply(t *testing.T) {
	t.Parallel()
	c := newClone(t)
	c.confirmAll()
	c.push(map[string]string{lockfile.Name: `{"schema": 1, "stacks": {}}` + "\n"})
	c.push(map[string]string{fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n" + alphasKey + " eve\n"})
	if err := os.Remove(c.note(LedgerFile)); err != nil {
		t.Fatal(err)
	}
	if all := c.grants(); len(all) != 1 || !strings.Contains(all[0].Text, "eve as root") {
		t.Errorf("in a clone without a ledger: %v", all)
	}
}
