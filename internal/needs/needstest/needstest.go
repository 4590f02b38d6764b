// Package needstest makes a fleet in a folder of its own, with one operator and encrypted
// secrets, and opens it for tests.
package needstest

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/identity"
	"salvor/internal/machine/local"
	"salvor/internal/needs"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/rendering"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secret/sops"
)

// A Fleet is a control repository whose operator is ann.
type Fleet struct {
	Dir      string
	Identity string     // ann's identity file, without a passphrase
	Ann      agekey.Key // her key
	Recovery agekey.Key
}

// Opened is a fleet at its newest commit.
type Opened struct {
	Checkout *checkout.Checkout
	Identity *identity.Identity
	Needs    *needs.Needs
}

// New makes a fleet called home with files and with secrets by name: NAME, or STACK/KEY for
// the only variable of a stack. In files, fleet.yaml holds what follows the fleet's name and
// recipients. Salvor's own commits need no configuration of Git in it.
func New(t *testing.T, files, secrets map[string]string) *Fleet {
	t.Helper()
	f := &Fleet{Dir: filepath.Join(t.TempDir(), "fleet"), Identity: filepath.Join(t.TempDir(), "ann.age"), Ann: newKey(t), Recovery: newKey(t)}
	if err := agekey.Create(f.Identity, f.Ann, secret.Value{}, 0); err != nil {
		t.Fatal(err)
	}
	recipients := fleet.Recipients{Operators: map[string]string{"ann": f.Ann.Recipient}, Recovery: f.Recovery.Recipient}
	first, message, err := controlrepo.Beginning{Name: "home", Recipients: recipients}.Commit()
	if err != nil {
		t.Fatal(err)
	}
	environ := append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.net", "GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=ann@example.net")
	if _, _, err := git.Init(t.Context(), local.Machine{}, f.Dir, git.First{Files: first, Message: message}, environ); err != nil {
		t.Fatal(err)
	}
	f.configure(t)
	all := map[string][]byte{"stacks/hello/compose.yaml": nil}
	for name, value := range secrets {
		maps.Copy(all, f.Encrypt(t, name, value))
	}
	for name, content := range files {
		all[name] = []byte(content)
	}
	if declared, ok := files[fleet.File]; ok {
		all[fleet.File] = []byte("schema: 1\nfleet: home\nrecipients:\n  operators: {ann: " + f.Ann.Recipient + "}\n  recovery: " + f.Recovery.Recipient + "\n" + declared)
	}
	f.Commit(t, all)
	return f
}

// configure gives the clone a name for commits.
func (f *Fleet) configure(t *testing.T) {
	t.Helper()
	config, err := os.OpenFile(filepath.Join(f.Dir, ".git/config"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = config.WriteString("[user]\n\tname = Ann\n\temail = ann@example.net\n")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := config.Close(); err != nil {
		t.Fatal(err)
	}
}

// Encrypt returns the file of one secret, encrypted to the operator and the recovery key.
func (f *Fleet) Encrypt(t *testing.T, name, value string) map[string][]byte {
	t.Helper()
	path, err := fleet.SecretFile(name)
	if stack, key, is := strings.Cut(name, "/"); is {
		path, value, err = fleet.EnvFile(stack), key+"="+value+"\n", nil
	}
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sops.Encrypt(path, secret.NewString(value), []string{f.Ann.Recipient, f.Recovery.Recipient})
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{path: sealed}
}

// Commit commits files; nil removes one.
func (f *Fleet) Commit(t *testing.T, files map[string][]byte) {
	t.Helper()
	g, err := git.Open(t.Context(), local.Machine{}, f.Dir, os.Environ())
	if err == nil {
		_, err = g.CommitFiles(t.Context(), files, "test")
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Open opens the newest commit as ann, or, as which says, the working tree.
func (f *Fleet) Open(t *testing.T, which checkout.Files) Opened {
	t.Helper()
	return f.OpenAs(t, f.Identity, which)
}

// OpenAs is Open with another identity, which has no passphrase.
func (f *Fleet) OpenAs(t *testing.T, identityFile string, which checkout.Files) Opened {
	t.Helper()
	c, err := checkout.Open(t.Context(), f.Dir, which)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	id := identity.New(c, identity.Options{
		Identity: identityFile, Ask: func(ask func()) { ask() }, Sink: progress.Discard(),
		Passphrase: func(string, int) (secret.Value, error) {
			return secret.Value{}, errors.New("no passphrase is asked for")
		},
		Allow: func(string, []string) (string, error) { return f.Dir, nil },
	})
	stacks, err := render(t.Context(), c, id)
	if err != nil {
		t.Fatal(err)
	}
	return Opened{Checkout: c, Identity: id, Needs: needs.New(c, id, stacks)}
}

// At returns what the stacks of an earlier commit need.
func (o Opened) At(ctx context.Context, c *checkout.Checkout) (*needs.Needs, error) {
	id := o.Identity.At(c)
	stacks, err := render(ctx, c, id)
	return needs.New(c, id, stacks), err
}

func render(ctx context.Context, c *checkout.Checkout, id *identity.Identity) (map[string]project.Rendered, error) {
	source := rendering.Source{Dir: c.Export, Repository: c.Repository, Names: id.Store}
	if c.Files != checkout.Committed {
		source.WorkTree = c.Root
	}
	stacks, _, err := rendering.Stacks(ctx, source)
	return stacks, err
}

func newKey(t *testing.T) agekey.Key {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}
