package app

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

const printedFleet = `schema: 1
fleet: home
hosts:
  alpha: {address: 192.0.2.10}
registries:
  registry.example.net: {username: ann, password: secret:registry}
secrets:
  registry: {command: [cat, values/registry]}
  nas_password: {command: [cat, values/nas]} # in the safe
  notes/DB_PASSWORD: {command: [cat, values/db]}
`

const printedStack = `x-salvor: {host: alpha}
services:
  app:
    image: registry.example.net/app:1
    environment: {DATABASE: "${DB_PASSWORD}"}
    secrets: [nas_password]
secrets:
  nas_password: {external: true}
`

// printedRepo is a fleet whose secrets cat prints, from files that are not in Git.
func printedRepo(t *testing.T, recipient string) string {
	t.Helper()
	dir := t.TempDir()
	environ := append(os.Environ(), "GIT_AUTHOR_NAME=Olga", "GIT_AUTHOR_EMAIL=olga@example.net", "GIT_COMMITTER_NAME=Olga", "GIT_COMMITTER_EMAIL=olga@example.net")
	g, err := begun(t.Context(), dir, controlrepo.Beginning{Name: "home"}, environ)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		fleet.File: []byte(printedFleet), "stacks/hello/compose.yaml": nil, "stacks/notes/compose.yaml": []byte(printedStack), "hosts/alpha.pub": []byte(recipient + "\n"),
	}
	if _, err := g.CommitFiles(t.Context(), files, "a fleet"); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"registry": "r-1", "nas": "nas-1", "db": "db-1"} {
		printValue(t, dir, name, value)
	}
	for _, name := range []string{"NAME=Olga", "EMAIL=olga@example.net"} {
		key, value, _ := strings.Cut(name, "=")
		t.Setenv("GIT_AUTHOR_"+key, value)
		t.Setenv("GIT_COMMITTER_"+key, value)
	}
	return dir
}

func printValue(t *testing.T, dir, name, value string) {
	t.Helper()
	file := filepath.Join(dir, "values", name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func openPrinted(t *testing.T, dir string) *App {
	t.Helper()
	a, err := Open(t.Context(), Options{Dir: dir, Sink: progress.Discard(), Approve: approveAll})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	key := printedSigner()
	a.FleetKeys.SignWith(key)
	return a
}

// printedSigner is the signing key of a fleet whose secrets programs print: it has no
// file that could hold one.
var printedSigner = sync.OnceValue(func() sign.Key {
	private, err := sign.NewKey("test")
	if err != nil {
		panic(err)
	}
	k, err := sign.ParseKey(private)
	if err != nil {
		panic(err)
	}
	return k
})

// begun makes dir a control repository with its first commit.
func begun(ctx context.Context, dir string, b controlrepo.Beginning, environ []string) (*git.Repository, error) {
	files, message, err := b.Commit()
	if err != nil {
		return nil, err
	}
	made, _, err := git.Init(ctx, local.Machine{}, dir, git.First{Files: files, Message: message, Signers: b.Signers()}, environ)
	return made, err
}
