package secretchange

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/needs/needstest"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
)

const (
	declared = `hosts:
  alpha: {address: 192.0.2.10}
secrets:
  token: {rotate: 90d}
  printed: {command: [echo, printed], rotate: 30d}
`
	notes = `x-salvor: {host: alpha}
services:
  web:
    image: nginx:1
    environment: {PASSWORD: "${DB}"}
  db:
    image: postgres:17
    environment: {POSTGRES_PASSWORD_FILE: /run/secrets/pg}
    secrets: [pg]
    volumes: ["data:/var/lib/postgresql/data"]
secrets:
  pg: {external: true}
volumes: {data: {}}
`
)

func newFleet(t *testing.T) *needstest.Fleet {
	t.Helper()
	f := needstest.New(t, map[string]string{fleet.File: declared, "stacks/notes/compose.yaml": notes},
		map[string]string{"token": "first", "notes/DB": "d", "pg": "p", "binary": "\x00\x01", "lines": "one\ntwo\n"})
	return f
}

// open are the changes of the newest commit.
func open(t *testing.T, f *needstest.Fleet) *Changes {
	t.Helper()
	o := f.Open(t, checkout.Committed)
	confirmed := confirmation.New(o.Checkout, confirmation.Options{Approve: func(confirmation.Approval) error { return nil }, Needs: o.At})
	confirmed.Rendered(o.Needs)
	o.Checkout.Rules = checkout.Rules{Making: confirmed.Making, Published: confirmed.Published, TakenBack: confirmed.TakenBack}
	return New(o.Checkout, o.Identity, o.Needs, confirmed, exposed.New(o.Checkout, o.Identity, o.Needs, nil))
}

// value is what a secret of the newest commit is.
func value(t *testing.T, f *needstest.Fleet, name string) string {
	t.Helper()
	v, err := open(t, f).identity.Secret(t.Context(), name)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(v.Reveal())
}

// subject is that of the newest commit.
func subject(t *testing.T, c *Changes) string {
	t.Helper()
	logged, err := c.checkout.Git.Log(t.Context(), 1)
	if err != nil || len(logged) != 1 {
		t.Fatalf("%v, %v", logged, err)
	}
	return logged[0].Subject
}

func TestASecretIsSet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for _, name := range []string{"token", "fresh", "notes/DB", "notes/NEW"} {
		c := open(t, f)
		before := c.checkout.Commit
		p, err := c.PrepareSet(t.Context(), name, secret.NewString("new "+name))
		if err != nil || p.Question != "" || p.Title != "set "+name {
			t.Fatalf("%s: %+v, %v", name, p, err)
		}
		if now := open(t, f).checkout.Commit; now != before {
			t.Fatalf("%s: preparing committed %s", name, now)
		}
		if got, err := p.Run(t.Context(), nil); err != nil || got.Name != name {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		if got, said := value(t, f, name), subject(t, c); got != "new "+name || said != "secret set: "+name {
			t.Errorf("%s is %q by %q", name, got, said)
		}
	}
}

func TestTheFleetsOwnKeysAreNotSet(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for name, hint := range map[string]string{"fleet_ssh_key": "salvor key ssh --rotate", "fleet_sign_key": "salvor key rotate --signing"} {
		_, err := open(t, f).PrepareSet(t.Context(), name, secret.NewString("x"))
		if err == nil || fault.Hint(err) != hint {
			t.Errorf("%s: %v (%s)", name, err, fault.Hint(err))
		}
	}
	if _, err := open(t, f).PrepareSet(t.Context(), "../evil", secret.NewString("x")); err == nil {
		t.Error("a name that is a path was taken")
	}
}

func TestASecretWithANewValueIsNotExposed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c, files := open(t, f), map[string][]byte{}
	if _, err := c.exposed.NoteRemoval(secretstore.Removal{Operator: "bob", At: time.Now()}, files); err != nil {
		t.Fatal(err)
	}
	f.Commit(t, files)
	left := func() (all []string) {
		found, err := open(t, f).exposed.Findings()
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range found {
			all = append(all, strings.TrimPrefix(one.Subject, "secret "))
		}
		return all
	}
	if all := left(); !slices.Contains(all, "token") || !slices.Contains(all, "notes/DB") || !slices.Contains(all, "printed") {
		t.Fatalf("exposed are %v", all)
	}
	set(t, f, "token", "x")
	edit(t, f, "notes.env", "DB=changed\n")
	if err := open(t, f).RaiseRevision(t.Context(), "printed"); err != nil {
		t.Fatal(err)
	}
	if all := left(); slices.Contains(all, "token") || slices.Contains(all, "notes/DB") || slices.Contains(all, "printed") || !slices.Contains(all, "pg") {
		t.Errorf("still exposed are %v", all)
	}
}

func set(t *testing.T, f *needstest.Fleet, name, to string) {
	t.Helper()
	p, err := open(t, f).PrepareSet(t.Context(), name, secret.NewString(to))
	if err == nil {
		_, err = p.Run(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// edit edits a secret to a text and reports whether that is a change.
func edit(t *testing.T, f *needstest.Fleet, name, to string) bool {
	t.Helper()
	c := open(t, f)
	e, err := c.BeginEdit(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	p, changed, err := c.PrepareEdit(t.Context(), e, secret.NewString(to))
	if err != nil {
		t.Fatal(err)
	}
	if changed {
		if _, err := p.Run(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if said := subject(t, c); said != "secret edit: "+name {
			t.Errorf("committed as %q", said)
		}
	}
	return changed
}

// TestAnEditKeepsLineEnds edits as editors do, which end every file with a line end.
func TestAnEditKeepsLineEnds(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if edit(t, f, "token", "first\n") || edit(t, f, "token", "first") || edit(t, f, "lines", "one\ntwo\n") || edit(t, f, "notes.env", "DB=d\n") {
		t.Error("what says the same was committed")
	}
	for name, change := range map[string][2]string{
		"token":    {"second\n", "second"},           // the line end is the editor's
		"lines":    {"one\nthree\n", "one\nthree\n"}, // it had one
		"notes/DB": {"e\n", "e"},
	} {
		if !edit(t, f, name, change[0]) {
			t.Errorf("%s: not changed", name)
		}
		if got := value(t, f, name); got != change[1] {
			t.Errorf("%s is %q, want %q", name, got, change[1])
		}
	}
	if !edit(t, f, "notes.env", "# comment\nDB=g\nMORE=h\n") || value(t, f, "notes/DB") != "g" || value(t, f, "notes/MORE") != "h" {
		t.Error("the stack's variables were not changed")
	}
}

func TestAnEditIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := open(t, f)
	for name, hint := range map[string]string{"absent": "salvor secret set NAME creates one", "binary": "salvor secret set binary reads", "gone/KEY": "salvor secret set NAME creates one"} {
		if _, err := c.BeginEdit(t.Context(), name); err == nil || !strings.Contains(fault.Hint(err), hint) {
			t.Errorf("%s: %v (%s)", name, err, fault.Hint(err))
		}
	}
	for name, bad := range map[string]map[string]string{
		"token":     {" \n": "token is empty now", "\xff\n": "not text in UTF-8", "a\x00b": "not text in UTF-8"},
		"notes.env": {"DB=d\nno variable\n": "2", "": "is empty now"},
	} {
		e, err := c.BeginEdit(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for text, want := range bad {
			if _, changed, err := c.PrepareEdit(t.Context(), e, secret.NewString(text)); err == nil || changed || !strings.Contains(err.Error(), want) {
				t.Errorf("%s edited to %q: %v", name, text, err)
			}
		}
	}
}

func TestARotationIsUndone(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := open(t, f)
	before, err := c.RotateSecret(t.Context(), "notes/DB", secret.NewString("rotated"))
	if err != nil || value(t, f, "notes/DB") != "rotated" || subject(t, c) != "secret rotate: notes/DB" {
		t.Fatalf("%q by %q, %v", value(t, f, "notes/DB"), subject(t, c), err)
	}
	if err := open(t, f).UndoRotation(t.Context(), "notes/DB", before); err != nil {
		t.Fatal(err)
	}
	if got, said := value(t, f, "notes/DB"), subject(t, c); got != "d" || said != "secret rotate: notes/DB, old value restored" {
		t.Errorf("%q by %q", got, said)
	}
}

func TestARotationIsRefused(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	c := open(t, f)
	head := c.checkout.Commit
	if _, err := c.RotateSecret(t.Context(), "absent", secret.NewString("x")); !errors.Is(err, secret.ErrNotFound) || fault.Hint(err) != "salvor secret set absent creates it" {
		t.Errorf("a secret that is not there: %v (%s)", err, fault.Hint(err))
	}
	if _, err := c.RotateSecret(t.Context(), "pg", secret.NewString("x")); err == nil || !strings.Contains(err.Error(), "keeps its first password") || !strings.Contains(fault.Hint(err), "x-salvor.on_rotate of the stack notes") {
		t.Errorf("a database's password: %v (%s)", err, fault.Hint(err))
	}
	if err := c.RaiseRevision(t.Context(), "absent"); err == nil {
		t.Error("a secret that nothing prints has another revision")
	}
	if now := open(t, f).checkout.Commit; now != head {
		t.Error("a refused rotation was committed")
	}
}

// TestAStackThatDoesNotLoadMayUseASecret: whether its database was made with the secret
// can't be seen, so the secret is neither rotated nor removed.
func TestAStackThatDoesNotLoadMayUseASecret(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Commit(t, map[string][]byte{"stacks/notes/compose.yaml": []byte(strings.Replace(notes, "image: nginx:1", "imagge: nginx:1", 1))})
	c := open(t, f)
	for _, name := range []string{"notes/DB", "pg"} {
		want := "stack notes does not load, so it is not known "
		if err := c.MayRotate(name); err == nil || !strings.HasPrefix(err.Error(), want+"what uses "+name) || !strings.HasPrefix(fault.Hint(err), "salvor check, and correct the stack; or salvor secret set "+name) {
			t.Errorf("rotate %s: %v (%s)", name, err, fault.Hint(err))
		}
		if _, err := c.PrepareRemove(t.Context(), name); err == nil || !strings.HasPrefix(err.Error(), want+"whether it uses "+name) || fault.Hint(err) != "salvor check, and correct the stack" {
			t.Errorf("rm %s: %v (%s)", name, err, fault.Hint(err))
		}
		if got := c.needs.Renewal(name).String(); got != "correct the stack notes (salvor check), then salvor secret rotate "+name {
			t.Errorf("renewal of %s: %s", name, got)
		}
	}
	for _, name := range []string{"lines", "token"} {
		if err := c.MayRotate(name); err != nil {
			t.Errorf("%s, which no stack names: %v", name, err)
		}
	}
}

func TestAProgramsValueHasARevision(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	for want := 2; want <= 3; want++ {
		c := open(t, f)
		if err := c.RaiseRevision(t.Context(), "printed"); err != nil {
			t.Fatal(err)
		}
		if s, _ := open(t, f).checkout.Fleet.Secret("printed"); s.Revision != want {
			t.Errorf("revision %d, want %d", s.Revision, want)
		}
	}
}

func TestWhereASecretIsUsed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Commit(t, map[string][]byte{"salvor.lock": []byte(`{"schema": 1, "stacks": {"notes": {"host": "alpha", "epoch": 1}}}`)})
	c := open(t, f)
	for name, want := range map[string][]string{"notes/DB": {"notes (environment) on alpha: recreate"}, "pg": {"notes/db on alpha"}, "token": nil} {
		if got := c.UsedBy(name); !slices.Equal(got, want) {
			t.Errorf("%s is used by %q, want %q", name, got, want)
		}
	}
	if argv, printed := c.Command("printed"); !printed || argv[0] != "echo" {
		t.Errorf("printed is printed by %v, %v", argv, printed)
	}
	if _, printed := c.Command("token"); printed {
		t.Error("token is printed by a program")
	}
}
