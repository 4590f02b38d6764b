package confirmation

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/grant"
	"salvor/internal/needs/needstest"
)

const (
	olgasLogin = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1eXsy6lnlv0u3K5RpRvYmpPZ0ULK9X3mYLYn3LrYHa"
	alphasKey  = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYyF1RyXQ7i1p4gm4nD8m9hV7oY1yW0Jqv5nS5kqK3d"
)

const declared = `hosts:
  alpha: {address: 192.0.2.10}
registries:
  registry.example.net: {username: ann, password: secret:registry}
secrets:
  registry: {command: [cat, values/registry]}
  nas_password: {command: [cat, values/nas]} # in the safe
`

const notes = `x-salvor: {host: alpha}
services:
  app: {image: "registry.example.net/app:1", secrets: [nas_password]}
secrets:
  nas_password: {external: true}
`

var errNo = errors.New("no")

// A clone is one operator's, with the fleet that it is of.
type clone struct {
	*needstest.Fleet
	t    *testing.T
	host string // alpha's recipient
}

func newClone(t *testing.T) clone {
	t.Helper()
	host := newRecipient(t)
	return clone{t: t, host: host, Fleet: needstest.New(t, map[string]string{
		fleet.File: declared, fleet.KnownHostsFile: "192.0.2.10 " + alphasKey + "\n", fleet.AuthorizedKeysFile: olgasLogin + " olga@laptop\n",
		"hosts/alpha.pub": host + "\n", "stacks/notes/compose.yaml": notes,
	}, nil)}
}

// open returns what is confirmed as of the newest commit, for an operator who is asked so.
func (c clone) open(o Options) *Confirmed {
	c.t.Helper()
	at := c.Open(c.t, checkout.Committed)
	o.Needs = at.At
	confirmed := New(at.Checkout, o)
	confirmed.Rendered(at.Needs)
	return confirmed
}

// confirmAll has the operator say yes to all that is in the commit.
func (c clone) confirmAll() {
	c.t.Helper()
	now := c.open(Options{Grant: func([]grant.Grant) error { return nil }})
	if err := now.ConfirmGrants(c.t.Context(), now.checkout.Lock); err != nil {
		c.t.Fatal(err)
	}
}

func (c clone) grants() []grant.Grant {
	c.t.Helper()
	now := c.open(Options{})
	all, err := now.Grants(c.t.Context(), now.checkout.Lock)
	if err != nil {
		c.t.Fatal(err)
	}
	return all
}

// push commits what another clone would have pushed.
func (c clone) push(files map[string]string) {
	c.t.Helper()
	contents := map[string][]byte{}
	for path, content := range files {
		contents[path] = []byte(content)
	}
	c.Commit(c.t, contents)
}

// config returns fleet.yaml as it is.
func (c clone) config() string {
	c.t.Helper()
	content, err := os.ReadFile(filepath.Join(c.Dir, fleet.File))
	if err != nil {
		c.t.Fatal(err)
	}
	return string(content)
}

// note is a file that the clone keeps for itself.
func (c clone) note(name string) string { return filepath.Join(c.Dir, ".git", "salvor", name) }

func isUnconfirmed(err error) bool {
	code, _ := fault.Code(err)
	return err != nil && code == fault.Usage && strings.Contains(fault.Hint(err), "--grant NAME")
}
