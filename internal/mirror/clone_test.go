package mirror

import (
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/card"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// card is the recovery card of the newest commit.
func (h *house) card() card.Card {
	h.t.Helper()
	made, err := h.open().Card(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return made
}

// TestTheCardLeadsToTheRepository: with the recovery key it opens what Git and the mirror are reached by.
func TestTheCardLeadsToTheRepository(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "git: {url: \"ssh://git@git.example.net/home.git\", key: secret:git_key, read_token: secret:box_password}\n")
	made, at := h.card(), h.open().checkout
	if made.Fleet != "home" || made.Commit != string(at.Commit) || made.Recovery.Recipient != h.Recovery.Recipient || !made.Mirrored || made.GitURL != "ssh://git@git.example.net/home.git" ||
		!slices.Equal(made.Signers, sign.Keys{h.Signer.Public()}) || made.Made.IsZero() {
		t.Errorf("%+v", made)
	}
	got, err := made.Access()
	if err != nil {
		t.Fatal(err)
	}
	want := card.Access{
		Schema: got.Schema, Fleet: "home", GitURL: made.GitURL, GitKey: []byte("of the Git host"), GitToken: []byte("of the box"), Signers: made.Signers, Record: at.Fleet.Record,
		KnownHosts: []string{"git.example.net ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGYyF1RyXQ7i1p4gm4nD8m9hV7oY1yW0Jqv5nS5kqK3d"},
		Remotes: map[string]agentapi.SealedRemote{
			"box": {Type: "crypt", Options: map[string][]byte{"remote": []byte("disk:" + h.disk), "password": []byte("of the box")}}, "disk": {Type: "local", Options: map[string][]byte{}},
		},
	}
	if diff := cmp.Diff(want, got, cmp.Transformer("empty", func(m map[string][]byte) int { return len(m) })); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if box := got.Remotes["box"].Options; string(box["remote"]) != "disk:"+h.disk || string(box["password"]) != "of the box" {
		t.Errorf("the box is reached with %q", box)
	}
}

// TestTheCardLeadsToTheData: it has the remotes of all snapshots and of shared volumes, and no others.
func TestTheCardLeadsToTheData(t *testing.T) {
	t.Parallel()
	const declared = "  near: {type: local}\n  far: {type: webdav, url: \"https://far.example.net\", user: u, pass: secret:git_key}\n  films: {type: local}\n  other: {type: local}\n" +
		"data:\n  shared: {remote: films, path: shared}\n  snapshots:\n    - {name: near, remote: near, path: s, every: 1h, keep: {last: 2}}\n    - {name: far, remote: far, path: s, every: 1h, keep: {last: 2}}\n"
	h := newHouse(t, declared)
	got, err := h.card().Access()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"box", "disk", "far", "films", "near"}, slices.Sorted(maps.Keys(got.Remotes))); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if pass := got.Remotes["far"].Options["pass"]; string(pass) != "of the Git host" {
		t.Errorf("the password of far is %q", pass)
	}
}

// TestNoCardLacksTheGitKey that fleet.yaml names.
func TestNoCardLacksTheGitKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "git: {url: \"ssh://git@git.example.net/home.git\", key: secret:git_key}\n")
	h.Commit(t, map[string][]byte{"secrets/git_key": nil})
	if made, err := h.open().Card(t.Context()); err == nil || !strings.Contains(err.Error(), "git.key") || made.Sealed != nil {
		t.Errorf("without the Git key: %v", err)
	}
}

// TestACloneComesFromGit where it answers: it trusts the card's keys, and says where it is from.
func TestACloneComesFromGit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	address := h.origin()
	made, dir := h.card(), filepath.Join(t.TempDir(), "back")
	clone, err := CloneByCard(t.Context(), made, dir)
	if err != nil || !strings.HasPrefix(clone.From, address+", commit "+made.Commit[:7]) || !strings.Contains(clone.From, "Ann <ann@example.net>") || len(clone.Notes) != 0 {
		t.Fatalf("%+v, %v", clone, err)
	}
	if keys, err := confirmation.Pinned(opened(t, dir)); err != nil || !slices.Equal(keys, sign.Keys{h.Signer.Public()}) {
		t.Errorf("it trusts %v, %v", keys, err)
	}
	if _, err := CloneByCard(t.Context(), made, dir); err == nil {
		t.Error("a folder that is not empty was cloned into")
	}
}

// TestACloneThatIsOlderThanTheCardSaysSo: commits were removed, or never arrived.
func TestACloneThatIsOlderThanTheCardSaysSo(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.origin()
	h.Commit(t, map[string][]byte{"note.txt": []byte("not pushed")})
	made := h.card()
	older := func(what string) {
		t.Helper()
		clone, err := CloneByCard(t.Context(), made, filepath.Join(t.TempDir(), "back"))
		if err != nil || len(clone.Notes) != 1 || !strings.Contains(clone.Notes[0], "it lacks commit "+made.Commit[:7]) {
			t.Errorf("%s: %+v, %v", what, clone, err)
		}
	}
	older("never pushed")
	if out, err := exec.CommandContext(t.Context(), "git", "-C", h.Dir, "push", "--quiet", "origin", "HEAD:refs/heads/other").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	older("on another branch")
}

// TestS02OnlyTheFleetsMirrorRebuildsIt: what a host can write to the remote is
// reported and ignored by clone and prove, and nothing is taken that this clone never
// had.
func TestS02OnlyTheFleetsMirrorRebuildsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	at, made := h.renew(), h.card()
	forged, err := agekey.Encrypt(h.Recovery.Secret, h.Recovery.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	const junk = "mirror/99999999-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bundle.age"
	h.put(junk, string(forged))
	dir := filepath.Join(t.TempDir(), "back")
	clone, err := CloneByCard(t.Context(), made, dir)
	if err != nil || !strings.Contains(clone.From, "Ann <ann@example.net>") || !strings.Contains(clone.From, at[:7]) || !strings.HasPrefix(clone.From, "the mirror on box") {
		t.Fatalf("from %q: %v", clone.From, err)
	}
	if len(clone.Notes) != 1 || !strings.Contains(clone.Notes[0], junk) {
		t.Errorf("notes %q", clone.Notes)
	}
	if _, err := os.Stat(filepath.Join(dir, "fleet.yaml")); err != nil {
		t.Error(err)
	}
	if m, found, err := h.open().Newest(t.Context()); err != nil || m.Commit != at || len(found) != 1 || found[0].Code != finding.MirrorUntrusted {
		t.Errorf("%+v, %+v, %v", m, found, err)
	}
}

// TestTheMirrorServesWhereTheGitHostIsGone: the clone's origin stays the card's address.
func TestTheMirrorServesWhereTheGitHostIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	address := h.origin()
	at, made := h.renew(), h.card()
	if err := os.RemoveAll(address); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "back")
	clone, err := CloneByCard(t.Context(), made, dir)
	if err != nil || !strings.HasPrefix(clone.From, "the mirror on box, commit "+at[:7]) {
		t.Fatalf("%+v, %v", clone, err)
	}
	g := opened(t, dir)
	if origin, err := g.URL(t.Context(), "origin"); err != nil || origin != address {
		t.Errorf("origin is %s, %v", origin, err)
	}
	if keys, err := confirmation.Pinned(g); err != nil || !slices.Equal(keys, sign.Keys{h.Signer.Public()}) {
		t.Errorf("it trusts %v, %v", keys, err)
	}
	h.gone()
	if _, err := CloneByCard(t.Context(), made, filepath.Join(t.TempDir(), "again")); err == nil || !strings.Contains(err.Error(), address) || !strings.Contains(err.Error(), "the mirror on box") || !strings.Contains(fault.Hint(err), "--identity FILE") {
		t.Errorf("both are gone: %v (%s)", err, fault.Hint(err))
	}
}

// TestACardWithoutAWayIsRefused: the error says what it lacks.
func TestACardWithoutAWayIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	made := h.card()
	access, err := made.Access()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CloneByCard(t.Context(), made, filepath.Join(t.TempDir(), "back")); err == nil || !strings.Contains(err.Error(), "there is none") || !strings.Contains(err.Error(), "does not have a Git URL") {
		t.Errorf("without a mirror: %v", err)
	}
	access.Record.Remote = ""
	if made.Sealed, err = access.Seal(made.Recovery); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "back")
	if _, err := CloneByCard(t.Context(), made, dir); err == nil || !strings.Contains(err.Error(), "the card does not have a remote") {
		t.Errorf("without a remote: %v", err)
	}
	other := made
	other.Fleet = "another"
	if _, err := CloneByCard(t.Context(), other, dir); err == nil || !strings.Contains(err.Error(), "of the fleet another") {
		t.Errorf("of another fleet: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a refused card left a folder: %v", err)
	}
}

func opened(t *testing.T, dir string) *git.Repository {
	t.Helper()
	g, err := git.Open(t.Context(), local.Machine{}, dir, os.Environ())
	if err != nil {
		t.Fatal(err)
	}
	return g
}
