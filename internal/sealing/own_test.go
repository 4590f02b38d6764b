package sealing

import (
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

// TestAHostHasASealOfItsOwn: with the repositories of its folders and the credentials of its
// mounts, and with nothing where it has neither.
func TestAHostHasASealOfItsOwn(t *testing.T) {
	t.Parallel()
	config := strings.Replace(houseFleet, "alpha: {address: 192.0.2.10}", "alpha: {address: 192.0.2.10, protect: [/etc/wireguard], mounts: {films: {smb: //nas/films, credentials: secret:films}}}", 1)
	h := houseOf(t, config, houseStack, map[string]string{"token": "t-1", "notes/DB": "db-1", "box_password": "b-1", "registry": "r-1", "films": "username=ann"})
	h.lock = placement.Owns(&h.open().Checkout.Fleet, h.lock)
	s := h.sealer()
	stale, err := s.Stale(t.Context(), h.lock)
	if err != nil || stale["host.alpha"] != "no sealed file yet" {
		t.Fatalf("%v, %v", stale, err)
	}
	files, next, err := s.Seal(t.Context(), h.lock, []string{"host.alpha"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	where := seal.Placement{Host: "alpha", Stack: "host.alpha", Epoch: 1}
	file, err := seal.Signed{File: files[where.Path()], Signature: files[seal.SignaturePath(where.Path())]}.Open(sign.Keys{h.Signer.Public()}, h.Host, where, "")
	id := next.Hosts["alpha"].Repositories["offsite"]
	if err != nil || string(file.Secrets["films"]) != "username=ann" || len(file.Repositories[id]) == 0 || len(file.Remotes) != 2 || files[seal.RecoveryPath("host.alpha")] == nil {
		t.Errorf("%v, repository %q, %v", file.Remotes, id, err)
	}
	if stale, err = s.Stale(t.Context(), next); err != nil || stale["host.alpha"] != "" {
		t.Errorf("sealed, and %v, %v", stale, err)
	}
	h.config(", protect: [/etc/wireguard], mounts: {films: {smb: //nas/films, credentials: secret:films}}", "")
	if stale, err = h.sealer().Stale(t.Context(), fleet.Lock{Hosts: next.Hosts}); err != nil || len(stale) != 0 {
		t.Errorf("nothing of its own any more: %v, %v", stale, err)
	}
}

// TestAHostsTokenForTheRepository is in its own seal, and nowhere else.
func TestAHostsTokenForTheRepository(t *testing.T) {
	t.Parallel()
	h := houseOf(t, houseFleet+"git: {url: \"https://git.example.net/home.git\", read_token: secret:reads}\n", houseStack,
		map[string]string{"token": "t-1", "notes/DB": "db-1", "box_password": "b-1", "registry": "r-1", "reads": "r-token"})
	h.lock = placement.Owns(&h.open().Checkout.Fleet, h.lock)
	files, _, err := h.sealer().Seal(t.Context(), h.lock, []string{"host.alpha"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	where := seal.Placement{Host: "alpha", Stack: "host.alpha", Epoch: 1}
	file, err := seal.Signed{File: files[where.Path()], Signature: files[seal.SignaturePath(where.Path())]}.Open(sign.Keys{h.Signer.Public()}, h.Host, where, "")
	if err != nil || string(file.ReadToken) != "r-token" || len(file.Remotes) != 0 {
		t.Errorf("token %q, remotes %v, %v", file.ReadToken, file.Remotes, err)
	}
}
