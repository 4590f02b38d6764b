package exposed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/needs/needstest"
	"salvor/internal/secretstore"
)

const (
	declared = `hosts:
  alpha: {address: 192.0.2.10}
  beta: {address: 192.0.2.11}
secrets:
  printed: {command: [pass, printed]}
remotes:
  box: {type: crypt, remote: "disk:snapshots", password: secret:box_password}
  disk: {type: local}
registries:
  ghcr.io: {username: ann, password: secret:ghcr}
data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}
`
	notes = `x-salvor: {host: alpha}
services:
  web:
    image: nginx:1
    environment: {PASSWORD: "${DB}"}
    secrets: [token]
    volumes: ["data:/data"]
secrets:
  token: {external: true}
volumes: {data: {}}
`
	blog = `x-salvor: {host: beta}
services:
  web:
    image: nginx:1
    environment: {KEY: "${KEY}"}
`
)

// newFleet has notes on alpha and blog on beta, and what each needs.
func newFleet(t *testing.T) *needstest.Fleet {
	t.Helper()
	return needstest.New(t, map[string]string{
		fleet.File: declared, "stacks/notes/compose.yaml": notes, "stacks/blog/compose.yaml": blog,
		"sealed/alpha/notes.age": "sealed", "sealed/beta/blog.age": "sealed",
		fleet.DeployKeysFile: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f alpha\n",
	}, map[string]string{"token": "t", "notes/DB": "d", "blog/KEY": "k", "box_password": "b", "ghcr": "g", "ca.pem": "c", "fleet_ssh_key": "s"})
}

// opened are the secrets of the newest commit.
func opened(t *testing.T, f *needstest.Fleet) *Secrets {
	t.Helper()
	o := f.Open(t, checkout.Committed)
	return New(o.Checkout, o.Identity, o.Needs, func(context.Context) (agentapi.Git, error) {
		return agentapi.Git{URL: "ssh://git:word@git.example.net/fleet"}, nil
	})
}

func names(all []Secret) []string {
	var got []string
	for _, s := range all {
		got = append(got, s.Name)
	}
	return got
}

func TestWhatAHostCouldOpen(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	h, err := opened(t, f).ByHost(t.Context(), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"box_password", "notes/DB", "token"}; !slices.Equal(h.Stacks, []string{"notes"}) || !slices.Equal(names(h.Secrets), want) {
		t.Errorf("of %v it could open %v, want %v", h.Stacks, names(h.Secrets), want)
	}
	if want := []string{"box (box_password)", "disk"}; !slices.Equal(h.Remotes, want) {
		t.Errorf("it could reach %v, want %v", h.Remotes, want)
	}
	if !strings.HasPrefix(h.DeployKey, "SHA256:") || h.GitURL != "ssh://git:xxxxx@git.example.net/fleet" {
		t.Errorf("it reads %s with %s", h.GitURL, h.DeployKey)
	}
	if h, err := opened(t, f).ByHost(t.Context(), "gamma"); err != nil || len(h.Stacks)+len(h.Secrets)+len(h.Remotes) != 0 || h.DeployKey != "" {
		t.Errorf("a host that never had a stack could open %+v, %v", h, err)
	}
}

// TestAnEarlierNeedIsUnknown removes a stack: what it needed is in no commit that is
// opened, so every secret counts but other stacks' variables.
func TestAnEarlierNeedIsUnknown(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Commit(t, map[string][]byte{"stacks/notes/compose.yaml": nil, "sealed/alpha/notes.age": nil})
	h, err := opened(t, f).ByHost(t.Context(), "alpha")
	if want := []string{"box_password", "ca.pem", "fleet_ssh_key", "ghcr", "notes/DB", "token", "printed"}; err != nil || !slices.Equal(names(h.Secrets), want) {
		t.Errorf("it could open %v, %v, want %v", names(h.Secrets), err, want)
	}
}

// TestATunnelIsNamed has alpha publish, which its own seal shows.
func TestATunnelIsNamed(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	ingress := "ingress: {provider: cloudflare, account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9, token: 'secret:ghcr'}\n"
	f.Commit(t, map[string][]byte{fleet.File: append(file(t, f), ingress...), "sealed/alpha/host.alpha.age": []byte("sealed")})
	h, err := opened(t, f).ByHost(t.Context(), "alpha")
	if err != nil || !slices.Contains(names(h.Secrets), "ghcr") {
		t.Errorf("it could open %v, %v", names(h.Secrets), err)
	}
	tunnel := func(line string) bool { return strings.Contains(line, "salvor-home.alpha") }
	if left := h.StillHas("alpha"); !slices.ContainsFunc(left, tunnel) {
		t.Errorf("left to do: %v", left)
	}
	later := &fleet.Fleet{Name: "home"}
	if got := later.TunnelsOf("alpha", 2); !slices.Equal(got, []string{"salvor-home.alpha", "salvor-home.alpha.2"}) {
		t.Errorf("another machine has had the name: %v", got)
	}
}

func file(t *testing.T, f *needstest.Fleet) []byte {
	t.Helper()
	content, err := f.Open(t, checkout.Committed).Checkout.File(fleet.File)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// TestAHostIsItselfUnderEveryName gives alpha another name.
func TestAHostIsItselfUnderEveryName(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	f.Commit(t, map[string][]byte{
		fleet.File:                  []byte(strings.Replace(string(file(t, f)), "alpha: {address: 192.0.2.10}", "gamma: {address: 192.0.2.10, formerly: alpha}", 1)),
		"stacks/notes/compose.yaml": []byte(strings.Replace(notes, "alpha", "gamma", 1)),
		"sealed/alpha/notes.age":    nil, "sealed/gamma/notes.age": []byte("sealed"),
	})
	if h, err := opened(t, f).ByHost(t.Context(), "gamma"); err != nil || !slices.Equal(h.Stacks, []string{"notes"}) {
		t.Errorf("as gamma it had %v, %v", h.Stacks, err)
	}
}

// TestEachSecretHasItsCommand looks at what is to be done about each kind.
func TestEachSecretHasItsCommand(t *testing.T) {
	t.Parallel()
	all, err := opened(t, newFleet(t)).NoteRemoval(secretstore.Removal{Operator: "bob", At: time.Now()}, map[string][]byte{})
	if err != nil {
		t.Fatal(err)
	}
	type what struct {
		command  string
		provider bool
	}
	got := map[string]what{}
	for _, s := range all {
		got[s.Name] = what{s.Command, s.First != ""}
	}
	want := map[string]what{
		"token": {"salvor secret rotate token --generate", false}, "notes/DB": {"salvor secret rotate notes/DB --generate", false}, "blog/KEY": {"salvor secret rotate blog/KEY --generate", false},
		"ca.pem": {"salvor secret rotate ca.pem", false}, "box_password": {"salvor secret rotate box_password", true}, "ghcr": {"salvor secret rotate ghcr", true},
		"printed": {"salvor secret rotate printed", true}, "fleet_ssh_key": {"salvor key ssh --rotate", false},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(what{})); diff != "" {
		t.Error(diff)
	}
}

// note commits what a removal leaves exposed.
func note(t *testing.T, f *needstest.Fleet, r secretstore.Removal) {
	t.Helper()
	files := map[string][]byte{}
	if _, err := opened(t, f).NoteRemoval(r, files); err != nil {
		t.Fatal(err)
	}
	f.Commit(t, files)
}

func subjects(t *testing.T, s *Secrets) []string {
	t.Helper()
	found, err := s.Findings()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range found {
		if f.Code != finding.SecretSeen || f.Severity != finding.Warning {
			t.Errorf("%+v", f)
		}
		all = append(all, strings.TrimPrefix(f.Subject, "secret "))
	}
	return all
}

// TestASecretIsExposedUntilItHasANewValue follows removals until nothing is left.
func TestASecretIsExposedUntilItHasANewValue(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	if found := subjects(t, opened(t, f)); len(found) != 0 {
		t.Fatalf("before anyone left: %v", found)
	}
	at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	note(t, f, secretstore.Removal{Operator: "bob", At: at})
	note(t, f, secretstore.Removal{Host: "beta", At: at, Secrets: []string{"blog/KEY", "ghcr"}})
	now := opened(t, f)
	found, err := now.Findings()
	if err != nil || len(found) != 8 {
		t.Fatalf("%v, %v", found, err)
	}
	for _, one := range found {
		switch one.Subject {
		case "secret ghcr":
			if one.Text != "known to bob, removed on 2026-05-01 and to the host beta, removed on 2026-05-01; not changed since" || one.Fix != "change it at its source, then salvor secret rotate ghcr" {
				t.Errorf("%+v", one)
			}
		case "secret token":
			if one.Text != "known to bob, removed on 2026-05-01; not changed since" || one.Fix != "salvor secret rotate token --generate" {
				t.Errorf("%+v", one)
			}
		}
	}
	files := map[string][]byte{}
	if err := now.NoteChanged(files, "ghcr", "token", "unknown"); err != nil {
		t.Fatal(err)
	}
	f.Commit(t, files)
	if left := subjects(t, opened(t, f)); slices.Contains(left, "ghcr") || slices.Contains(left, "token") || len(left) != 6 {
		t.Errorf("left are %v", left)
	}
	files = map[string][]byte{}
	if err := opened(t, f).NoteChanged(files, "unknown"); err != nil || len(files) != 0 {
		t.Errorf("a secret that is not exposed changed %v, %v", slices.Collect(maps.Keys(files)), err)
	}
	if err := opened(t, f).NoteChanged(files, subjects(t, opened(t, f))...); err != nil {
		t.Fatal(err)
	}
	if content, written := files[secretstore.RemovalsPath]; !written || content != nil {
		t.Errorf("nothing is exposed, and the file stays: %s", content)
	}
}

// TestAHostIsNoted notes what a host could open whose disk others have.
func TestAHostIsNoted(t *testing.T) {
	t.Parallel()
	f, files := newFleet(t), map[string][]byte{}
	h, err := opened(t, f).NoteHost(t.Context(), "beta", files)
	if want := []string{"blog/KEY", "box_password"}; err != nil || !slices.Equal(names(h.Secrets), want) {
		t.Errorf("%v, %v", names(h.Secrets), err)
	}
	f.Commit(t, files)
	if got := subjects(t, opened(t, f)); !slices.Equal(got, []string{"blog/KEY", "box_password"}) {
		t.Errorf("exposed are %v", got)
	}
	away := opened(t, f)
	away.git = func(context.Context) (agentapi.Git, error) { return agentapi.Git{}, errors.New("no remote") }
	if _, err := away.NoteHost(t.Context(), "beta", files); err == nil {
		t.Error("what went wrong is not returned")
	}
}

func TestTheOldKeyOfAnOperator(t *testing.T) {
	t.Parallel()
	f := newFleet(t)
	note(t, f, secretstore.Removal{Key: "ann", At: time.Now()})
	if all, noted, err := opened(t, f).ByKey("ann"); err != nil || !noted || len(all) != 8 {
		t.Errorf("%v, %v, %v", names(all), noted, err)
	}
	if all, noted, err := opened(t, f).ByKey("bob"); err != nil || noted || len(all) != 0 {
		t.Errorf("a key that is fine exposes %v, %v, %v", names(all), noted, err)
	}
	f.Commit(t, map[string][]byte{secretstore.RemovalsPath: []byte("{}")})
	if _, _, err := opened(t, f).ByKey("ann"); err == nil {
		t.Error("a damaged file was read")
	}
}

func TestWhereAHostsAccessIsEnded(t *testing.T) {
	t.Parallel()
	h := Host{Remotes: []string{"nas (nas_alpha)"}, DeployKey: "SHA256:abc", GitURL: "git@git.example.net:fleet"}
	list := strings.Join(h.StillHas("alpha"), "\n")
	for _, want := range []string{"alpha can still read the repository: remove its deploy key SHA256:abc from the deploy keys of git@git.example.net:fleet", "the credential of the remote nas (nas_alpha)"} {
		if !strings.Contains(list, want) {
			t.Errorf("%q is not in\n%s", want, list)
		}
	}
	if got := (Host{}).StillHas("alpha"); !slices.Equal(got, []string{"alpha can still read the repository: remove its deploy key at the Git host"}) {
		t.Errorf("%q", got)
	}
}
