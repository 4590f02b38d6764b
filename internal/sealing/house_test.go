package sealing

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys/fleetkeystest"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

const (
	houseFleet = `hosts:
  alpha: {address: 192.0.2.10}
remotes:
  box: {type: crypt, remote: "disk:/srv/snapshots", password: secret:box_password}
  disk: {type: local}
  unused: {type: local}
registries:
  registry.example.net: {username: ann, password: secret:registry}
  other.example.net: {username: ann, password: secret:registry}
data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}
`
	houseStack = `x-salvor: {host: alpha}
services:
  app:
    image: registry.example.net/app:1
    environment: {DATABASE: "${DB}"}
    secrets: [token]
secrets:
  token: {external: true}
`
)

// A house is a fleet with the stack notes, which is to be on alpha.
type house struct {
	*fleetkeystest.Fleet
	t    *testing.T
	lock fleet.Lock
	made map[string][]byte // by the seals so far, nothing of it is committed
}

// newHouse has ann's fleet with the secrets that houseFleet and houseStack name.
func newHouse(t *testing.T) *house {
	t.Helper()
	return houseOf(t, houseFleet, houseStack, map[string]string{"token": "t-1", "notes/DB": "db-1", "box_password": "b-1", "registry": "r-1", "blog/KEY": "k-1"})
}

func houseOf(t *testing.T, config, stack string, secrets map[string]string) *house {
	t.Helper()
	return &house{
		t: t, Fleet: fleetkeystest.New(t, map[string]string{fleet.File: config, "stacks/notes/compose.yaml": stack}, secrets), made: map[string][]byte{},
		lock: fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1}}},
	}
}

// open opens the newest commit as ann, who says yes to everything.
func (h *house) open() fleetkeystest.Opened {
	h.t.Helper()
	return h.OpenKeys(h.t, h.Identity, fleetkeystest.Yes())
}

// sealer is one of the newest commit, with what was made so far.
func (h *house) sealer() *Sealer {
	h.t.Helper()
	o := h.open()
	return New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, h.made)
}

// seal seals notes and keeps what came of it. It returns what that changed.
func (h *house) seal(s *Sealer, consent map[string]project.Consent) map[string][]byte {
	h.t.Helper()
	files, next, err := s.Seal(h.t.Context(), h.lock, []string{"notes"}, consent)
	if err != nil {
		h.t.Fatal(err)
	}
	maps.Copy(h.made, files)
	h.lock = next
	return files
}

// sealed opens the seal of notes as alpha does.
func (h *house) sealed() agentapi.SealedFile {
	h.t.Helper()
	p := h.lock.Stacks["notes"]
	where := seal.Placement{Host: "alpha", Stack: "notes", Epoch: p.Epoch}
	file, err := seal.Signed{File: h.made[where.Path()], Signature: h.made[seal.SignaturePath(where.Path())]}.Open(sign.Keys{h.Signer.Public()}, h.Host, where, "")
	if err != nil {
		h.t.Fatal(err)
	}
	return file
}

// passwords opens the recovery file of notes with the recovery key, and returns the
// passwords by repository.
func (h *house) passwords() map[string]string {
	h.t.Helper()
	path := seal.RecoveryPath("notes")
	r, err := seal.Signed{File: h.made[path], Signature: h.made[seal.SignaturePath(path)]}.OpenRecovery(sign.Keys{h.Signer.Public()}, h.Recovery, "notes")
	if err != nil {
		h.t.Fatal(err)
	}
	all := map[string]string{}
	for _, repo := range r.Repositories {
		all[repo.ID] = string(repo.Password.Reveal())
	}
	return all
}

// why says why the seal of notes is out of date, "" for not.
func (h *house) why(s *Sealer) string {
	h.t.Helper()
	stale, err := s.Stale(h.t.Context(), h.lock)
	if err != nil {
		h.t.Fatal(err)
	}
	return stale["notes"]
}

// content returns a file of the newest commit.
func (h *house) content(path string) []byte {
	h.t.Helper()
	content, err := os.ReadFile(filepath.Join(h.Dir, path))
	if err != nil {
		h.t.Fatal(err)
	}
	return content
}

// config changes fleet.yaml.
func (h *house) config(old, changed string) {
	h.t.Helper()
	content := string(h.content(fleet.File))
	if !strings.Contains(content, old) {
		h.t.Fatalf("no %q in\n%s", old, content)
	}
	h.Commit(h.t, map[string][]byte{fleet.File: []byte(strings.Replace(content, old, changed, 1))})
}

// texts are the bytes of a seal as they are compared.
func texts(values map[string][]byte) map[string]string {
	all := map[string]string{}
	for name, value := range values {
		all[name] = string(value)
	}
	return all
}
