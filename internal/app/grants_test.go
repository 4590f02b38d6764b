package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/grant"
	"salvor/internal/lockfile"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

const (
	olgasLogin = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1eXsy6lnlv0u3K5RpRvYmpPZ0ULK9X3mYLYn3LrYHa"
	alphasKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYyF1RyXQ7i1p4gm4nD8m9hV7oY1yW0Jqv5nS5kqK3d"
)

// grantedFleet is a fleet with a host and a stack, whose clone has confirmed all that
// is in it.
func grantedFleet(t *testing.T) (dir string, g *git.Repository, operator agekey.Key) {
	t.Helper()
	operator, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	dir = printedRepo(t, operator.Recipient)
	g, err = git.Open(t.Context(), local.Machine{}, dir, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	pushed(t, g, map[string]string{
		fleet.File:               printedFleet + "recipients: {operators: {olga: " + operator.Recipient + "}}\n",
		fleet.KnownHostsFile:     "192.0.2.10 " + alphasKey + "\n",
		fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n",
		"secrets/spare":          "encrypted", "stacks/notes/extra": "",
	})
	var names []string
	a := openWith(t, Options{Dir: dir, Grant: func(all []grant.Grant) error { names = append(names, all[0].Name); return nil }})
	if err := a.Confirmed.ConfirmGrants(t.Context(), a.Lock()); err != nil {
		t.Fatal(err)
	}
	if want := "operator/olga"; !slices.Contains(names, want) {
		t.Fatalf("confirmed %v, want %s", names, want)
	}
	return dir, g, operator
}

// pushed is a commit that this clone did not make.
func pushed(t *testing.T, g *git.Repository, files map[string]string) {
	t.Helper()
	contents := map[string][]byte{}
	for path, content := range files {
		contents[path] = []byte(content)
	}
	if _, err := g.CommitFiles(t.Context(), contents, "from elsewhere"); err != nil {
		t.Fatal(err)
	}
}

func openGranting(t *testing.T, dir string) *App {
	t.Helper()
	return openWith(t, Options{Dir: dir})
}

// openWith opens a fleet as the options say.
func openWith(t *testing.T, o Options) *App {
	t.Helper()
	o.Sink = progress.Discard()
	a, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func grantsOf(t *testing.T, a *App) []grant.Grant {
	t.Helper()
	all, err := a.Confirmed.Grants(t.Context(), a.Lock())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestS06WhatAPushGivesIsAGrant: each line that gives away the fleet is named, and
// nothing that is as it was confirmed.
func TestS06WhatAPushGivesIsAGrant(t *testing.T) {
	dir, g, operator := grantedFleet(t)
	eve, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if all := grantsOf(t, openGranting(t, dir)); len(all) != 0 {
		t.Fatalf("after all was confirmed: %v", all)
	}
	declared := printedFleet + "recipients: {operators: {olga: " + operator.Recipient + "}}\n"
	given := func(with string) map[string]string {
		return map[string]string{fleet.File: declared + with}
	}
	for name, c := range map[string]struct {
		files map[string]string
		grant string // its name
		text  string // a part of it
	}{
		"an operator": {map[string]string{fleet.File: printedFleet + "recipients: {operators: {olga: " + operator.Recipient + ", eve: " + eve.Recipient + "}}\n"},
			"operator/eve", "eve can open everything from now on, with the key " + eve.Recipient},
		"an operator's key": {map[string]string{fleet.File: printedFleet + "recipients: {operators: {olga: " + eve.Recipient + "}}\n"},
			"operator/olga", "olga's key changes from " + operator.Recipient + " to " + eve.Recipient},
		"the recovery key": {map[string]string{fleet.File: printedFleet + "recipients: {operators: {olga: " + operator.Recipient + "}, recovery: " + eve.Recipient + "}\n"},
			"recovery", eve.Recipient},
		"a host's key": {map[string]string{"hosts/alpha.pub": eve.Recipient + "\n"},
			"host/alpha", "alpha's key changes from " + operator.Recipient + " to " + eve.Recipient},
		"a host": {map[string]string{fleet.File: strings.Replace(declared, "hosts:\n", "hosts:\n  evil: {address: 192.0.2.66}\n", 1), "hosts/evil.pub": eve.Recipient + "\n"},
			"host/evil", "evil is a host of the fleet: its secrets are sealed for " + eve.Recipient},
		"an address": {map[string]string{fleet.File: strings.Replace(declared, "192.0.2.10", "192.0.2.66", 1)},
			"address/alpha", "root@192.0.2.66"},
		"a jump host": {map[string]string{fleet.File: strings.Replace(declared, "{address: 192.0.2.10}", "{address: 192.0.2.10, jump: root@192.0.2.66}", 1)},
			"address/alpha", "root@192.0.2.10 through root@192.0.2.66"},
		"a host key": {map[string]string{fleet.KnownHostsFile: "192.0.2.10 " + olgasLogin + "\n"},
			"key/192.0.2.10", "alpha 192.0.2.10 is the server that presents the ssh-ed25519 key SHA256:"},
		"an authority": {map[string]string{fleet.KnownHostsFile: "192.0.2.10 " + alphasKey + "\n@cert-authority * " + olgasLogin + "\n"},
			"key/@cert-authority *", "SHA256:"},
		"a login": {map[string]string{fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n" + alphasKey + " olga@laptop\n"},
			"login/SHA256:", "olga@laptop as root on every host"},
		"another stack's secret": {map[string]string{"stacks/extra/compose.yaml": "x-salvor: {host: alpha}\nservices: {app: {image: a:1, secrets: [innocent]}}\nsecrets: {innocent: {external: true, name: nas_password}}\n"},
			"secret/extra", "stack extra on alpha gets the secret nas_password that stack notes uses"},
		"a secret that only fleet.yaml uses": {map[string]string{"stacks/extra/compose.yaml": "x-salvor: {host: alpha}\nservices: {app: {image: a:1, secrets: [innocent]}}\nsecrets: {innocent: {external: true, name: registry}}\n"},
			"secret/extra", "the secret registry that registry registry.example.net uses"},
		"a registry": {map[string]string{fleet.File: strings.Replace(declared, "registries:\n", "registries:\n  evil.example: {username: x, password: secret:nas_password}\n", 1)},
			"registry/evil.example", "registry evil.example gets the secret nas_password"},
		"the repository's address": {given("git: {url: 'ssh://git@evil.example/fleet'}\n"), "source/git", "hosts take the repository from ssh://git@evil.example/fleet"},
		"Docker's address":         {given("docker: {channel: docker, url: 'https://evil.example/docker', key: KEY}\n"), "source/docker", "https://evil.example/docker"},
	} {
		t.Run(name, func(t *testing.T) {
			confirmed, err := os.ReadFile(filepath.Join(dir, ".git", "salvor", confirmation.LedgerFile))
			if err != nil {
				t.Fatal(err)
			}
			before := map[string]string{}
			for path := range c.files {
				content, err := os.ReadFile(filepath.Join(dir, path))
				if err == nil {
					before[path] = string(content)
				}
			}
			pushed(t, g, c.files)
			a := openGranting(t, dir)
			all := grantsOf(t, a)
			i := slices.IndexFunc(all, func(g grant.Grant) bool { return strings.HasPrefix(g.Name, c.grant) })
			if i < 0 || !strings.Contains(all[i].Text, c.text) {
				t.Errorf("grants: %+v", all)
			}
			if err := a.Confirmed.ConfirmGrants(t.Context(), a.Lock()); !isUnconfirmed(err) {
				t.Errorf("without anybody to ask: %v", err)
			}
			gone := map[string][]byte{}
			for path := range c.files {
				gone[path] = nil
				if content, was := before[path]; was {
					gone[path] = []byte(content)
				}
			}
			if _, err := g.CommitFiles(t.Context(), gone, "as it was"); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, ".git", "salvor", confirmation.LedgerFile), confirmed, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if all := grantsOf(t, openGranting(t, dir)); len(all) != 0 {
		t.Errorf("as it was: %v", all)
	}
}

func isUnconfirmed(err error) bool {
	code, _ := fault.Code(err)
	return err != nil && code == fault.Usage && strings.Contains(fault.Hint(err), "--grant NAME")
}

// TestS06NothingIsEncryptedToTheUnconfirmed: secret set and the mirror wait for the
// confirmation, and what was refused is asked again.
func TestS06NothingIsEncryptedToTheUnconfirmed(t *testing.T) {
	dir, g, operator := grantedFleet(t)
	eve, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	pushed(t, g, map[string]string{fleet.File: printedFleet + "recipients: {operators: {olga: " + operator.Recipient + ", eve: " + eve.Recipient + "}}\n"})
	a := openGranting(t, dir)
	if _, err := prepared(a.Secrets.PrepareSet(t.Context(), "token", secret.NewString("v")))(t.Context()); !isUnconfirmed(err) {
		t.Errorf("set: %v", err)
	}
	if to, err := a.Confirmed.Recipients(t.Context()); err != nil || !slices.Equal(to, []string{operator.Recipient}) {
		t.Errorf("a mirror is encrypted to %v, %v", to, err)
	}
	refused := errors.New("no")
	a = openWith(t, Options{Dir: dir, Grant: func([]grant.Grant) error { return refused }})
	if _, err := prepared(a.Secrets.PrepareSet(t.Context(), "token", secret.NewString("v")))(t.Context()); !errors.Is(err, refused) {
		t.Errorf("refused: %v", err)
	}
	asked := 0
	a = openWith(t, Options{Dir: dir, Grant: func([]grant.Grant) error { asked++; return nil }})
	for range 2 {
		if _, err := prepared(a.Secrets.PrepareSet(t.Context(), "token", secret.NewString("v")))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
	sealed, err := os.ReadFile(filepath.Join(dir, "secrets", "token"))
	if err != nil || !strings.Contains(string(sealed), eve.Recipient) {
		t.Errorf("after the confirmation: %v", err)
	}
}

// TestS06OwnWorkIsNoQuestion: a stack that is given its own new secret by who set it
// in this clone is daily work; the same secret for another stack is not.
func TestS06OwnWorkIsNoQuestion(t *testing.T) {
	dir, g, _ := grantedFleet(t)
	const web = "x-salvor: {host: alpha}\nservices: {app: {image: a:1, environment: {KEY: '${API_KEY}'}, secrets: [token]}}\nsecrets: {token: {external: true}}\n"
	a := openGranting(t, dir)
	for _, name := range []string{"web/API_KEY", "token"} {
		if _, err := prepared(a.Secrets.PrepareSet(t.Context(), name, secret.NewString("v")))(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	pushed(t, g, map[string]string{"stacks/web/compose.yaml": web})
	a = openGranting(t, dir)
	if all := grantsOf(t, a); len(all) != 0 {
		t.Errorf("own work: %v", all)
	}
	if err := a.Confirmed.Delivered(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all := grantsOf(t, openGranting(t, dir)); len(all) != 0 {
		t.Errorf("after it was delivered: %v", all)
	}
	pushed(t, g, map[string]string{"stacks/evil/compose.yaml": "x-salvor: {host: alpha}\nservices: {app: {image: a:1, secrets: [token]}}\nsecrets: {token: {external: true}}\n"})
	if all := grantsOf(t, openGranting(t, dir)); len(all) != 1 || !strings.Contains(all[0].Text, "stack evil on alpha gets the secret token that stack web uses") {
		t.Errorf("another stack: %v", all)
	}
}

// TestS06AForgedSealHidesNoGrant: a seal with the right digest, which everyone can
// compute, does not stand for a confirmation: neither where the stack is sealed anyway
// nor where a seal of the fleet's would do.
func TestS06AForgedSealHidesNoGrant(t *testing.T) {
	dir, g, _ := grantedFleet(t)
	pushed(t, g, map[string]string{
		lockfile.Name:               `{"schema": 1, "stacks": {"notes": {"host": "alpha", "epoch": 1}}}` + "\n",
		"sealed/alpha/notes.age":    "an older one",
		"stacks/notes/compose.yaml": strings.Replace(printedStack, "secrets: [nas_password]", "secrets: [nas_password, registry]", 1) + "  registry: {external: true}\n",
	})
	private, err := sign.NewKey("eve")
	if err != nil {
		t.Fatal(err)
	}
	eve, err := sign.ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for _, epoch := range []int{1, 2} {
		a := openGranting(t, dir)
		next := a.Lock().Copy()
		next.Stacks["notes"] = fleet.Placement{Host: "alpha", Epoch: epoch}
		in, err := a.Needs.Inputs("notes", next.Stacks["notes"])
		if err != nil {
			t.Fatal(err)
		}
		forged, err := seal.Seal(agentapi.SealedFile{}, in, eve)
		if err != nil {
			t.Fatal(err)
		}
		pushed(t, g, map[string]string{in.Placement.Path(): string(forged.File), seal.SignaturePath(in.Placement.Path()): string(forged.Signature)})
		all, err := openGranting(t, dir).Confirmed.Grants(t.Context(), next)
		if err != nil || len(all) == 0 {
			t.Errorf("epoch %d: %v, %v", epoch, all, err)
		}
	}
}

// TestS06ACloneBeginsWithTheLastApply: what came since then is asked about there, too.
func TestS06ACloneBeginsWithTheLastApply(t *testing.T) {
	dir, g, _ := grantedFleet(t)
	pushed(t, g, map[string]string{lockfile.Name: `{"schema": 1, "stacks": {}}` + "\n"})
	pushed(t, g, map[string]string{fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n" + alphasKey + " eve\n"})
	if err := os.Remove(filepath.Join(dir, ".git", "salvor", confirmation.LedgerFile)); err != nil {
		t.Fatal(err)
	}
	all := grantsOf(t, openGranting(t, dir))
	if len(all) != 1 || !strings.Contains(all[0].Text, "eve as root") {
		t.Errorf("in a clone without a ledger: %v", all)
	}
}
