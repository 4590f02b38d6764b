package app

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/grant"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
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
