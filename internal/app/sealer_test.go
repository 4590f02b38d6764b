package app

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
	"salvor/internal/seal"
	"salvor/internal/sealing"
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

// TestWhatProgramsPrintIsSealed seals values that programs print, finds the seal
// current without running them, and out of date once a revision was raised.
func TestWhatProgramsPrintIsSealed(t *testing.T) {
	host := newKey(t)
	dir := printedRepo(t, host.Recipient)
	placed := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}}
	where := seal.Placement{Host: "alpha", Stack: "notes", Epoch: 1}

	a := openPrinted(t, dir)
	s, made := a.sealer(), map[string][]byte{}
	sealed := func() agentapi.SealedFile {
		t.Helper()
		files, _, err := s.Seal(t.Context(), placed, []string{"notes"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(made, files)
		signed := seal.Signed{File: files[where.Path()], Signature: files[seal.SignaturePath(where.Path())]}
		opened, err := signed.Open(sign.Keys{printedSigner().Public()}, host, where, "")
		if err != nil {
			t.Fatal(err)
		}
		return opened
	}
	first := sealed()
	if string(first.Env["DB_PASSWORD"]) != "db-1" || string(first.Secrets["secrets/nas_password"]) != "nas-1" || string(first.Registries["registry.example.net"].Password) != "r-1" {
		t.Errorf("sealed %q, %q, %q", first.Env, first.Secrets, first.Registries["registry.example.net"].Password)
	}
	printValue(t, dir, "nas", "nas-2")
	if stale, err := s.Stale(t.Context(), placed); err != nil || len(stale) != 0 {
		t.Errorf("out of date although Git knows nothing: %v, %v", stale, err)
	}
	if err := a.Secrets.RaiseRevision(t.Context(), "nas_password"); err != nil {
		t.Fatal(err)
	}

	a = openPrinted(t, dir)
	s = sealing.New(a.Checkout, a.Needs, a.Confirmed, a.FleetKeys, made)
	if stale, err := s.Stale(t.Context(), placed); err != nil || len(stale) != 1 {
		t.Errorf("a raised revision left the seal: %v, %v", stale, err)
	}
	if again := sealed(); string(again.Secrets["secrets/nas_password"]) != "nas-2" {
		t.Errorf("sealed %q", again.Secrets)
	}
	if stale, err := s.Stale(t.Context(), placed); err != nil || len(stale) != 0 {
		t.Errorf("sealed anew and out of date: %v, %v", stale, err)
	}
}

// TestNewTargetOnAUsedRemoteIsSealed is fault D8: a target declared on a remote that
// the seal had already got neither a repository nor a snapshot.
func TestNewTargetOnAUsedRemoteIsSealed(t *testing.T) {
	host, ann := newKey(t), newKey(t)
	dir := printedRepo(t, host.Recipient)
	declare := func(targets string, made map[string][]byte) *sealing.Sealer {
		t.Helper()
		content := printedFleet + "recipients: {operators: {ann: " + ann.Recipient + "}}\nremotes:\n  nas: {type: local}\ndata:\n  snapshots:\n" + targets
		a := openPrinted(t, dir)
		if _, err := a.Checkout.Git.CommitFiles(t.Context(), map[string][]byte{fleet.File: []byte(content)}, "targets"); err != nil {
			t.Fatal(err)
		}
		a = openPrinted(t, dir)
		a.Identity.Use(ann)
		return sealing.New(a.Checkout, a.Needs, a.Confirmed, a.FleetKeys, made)
	}
	const first = "    - {name: first, remote: nas, path: one, every: 1h}\n"
	placed := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}}
	s := declare(first, nil)
	made, placed, err := s.Seal(t.Context(), placed, []string{"notes"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if stale, err := s.Stale(t.Context(), placed); err != nil || len(stale) != 0 {
		t.Fatalf("out of date at once: %v, %v", stale, err)
	}
	s = declare(first+"    - {name: second, remote: nas, path: two, every: 1h}\n", made)
	if stale, err := s.Stale(t.Context(), placed); err != nil || stale["notes"] != "no repository on second yet" {
		t.Fatalf("a new target: %v, %v", stale, err)
	}
	_, placed, err = s.Seal(t.Context(), placed, []string{"notes"}, nil)
	if err != nil || placed.Stacks["notes"].Repositories["second"] == "" {
		t.Errorf("sealed with %v, %v", placed.Stacks["notes"].Repositories, err)
	}
	if stale, err := s.Stale(t.Context(), placed); err != nil || len(stale) != 0 {
		t.Errorf("sealed anew and out of date: %v, %v", stale, err)
	}
}

// begun makes dir a control repository with its first commit.
func begun(ctx context.Context, dir string, b controlrepo.Beginning, environ []string) (*git.Repository, error) {
	files, message, err := b.Commit()
	if err != nil {
		return nil, err
	}
	made, _, err := git.Init(ctx, local.Machine{}, dir, git.First{Files: files, Message: message, Signers: b.Signers()}, environ)
	return made, err
}
