package sealing

import (
	"maps"
	"strings"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/route"
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

// TestAHostThatPublishesHasTheToken in its own seal, and no other has it: it comes with the
// first route, and the seal goes with the last.
func TestAHostThatPublishesHasTheToken(t *testing.T) {
	t.Parallel()
	const ingress = "ingress: {provider: cloudflare, account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9, token: secret:cloudflare}\n"
	h := houseOf(t, strings.Replace(houseFleet, "hosts:\n", "hosts:\n  beta: {address: 192.0.2.11}\n", 1)+ingress, houseStack,
		map[string]string{"token": "t-1", "notes/DB": "db-1", "box_password": "b-1", "registry": "r-1", "cloudflare": "c-token"})
	publishes := func(yes bool) (*Sealer, fleet.Lock) {
		t.Helper()
		o := h.open()
		stacks := o.Checkout.Fleet.Stacks
		stacks[0].Publishes = yes
		return New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, h.made), placement.Owns(&o.Checkout.Fleet, h.lock)
	}
	if _, lock := publishes(false); len(lock.Hosts) > 0 {
		t.Errorf("without a route there is a place for %v", lock.Hosts)
	}
	s, lock := publishes(true)
	if stale, err := s.Stale(t.Context(), lock); err != nil || stale["host.alpha"] == "" || stale["host.beta"] != "" {
		t.Fatalf("%v, %v", stale, err)
	}
	files, lock, err := s.Seal(t.Context(), lock, []string{"host.alpha"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(h.made, files)
	h.lock = lock
	where := seal.Placement{Host: "alpha", Stack: "host.alpha", Epoch: 1}
	file, err := seal.Signed{File: files[where.Path()], Signature: files[seal.SignaturePath(where.Path())]}.Open(sign.Keys{h.Signer.Public()}, h.Host, where, "")
	if err != nil || string(file.IngressToken) != "c-token" || len(file.ReadToken) > 0 || len(file.Remotes) > 0 {
		t.Errorf("token %q, %+v, %v", file.IngressToken, file, err)
	}
	if stale, err := s.Stale(t.Context(), lock); err != nil || stale["host.alpha"] != "" {
		t.Errorf("sealed, and %v, %v", stale, err)
	}
	maps.Copy(h.made, h.Encrypt(t, "cloudflare", "another"))
	s, lock = publishes(true)
	if stale, err := s.Stale(t.Context(), lock); err != nil || stale["host.alpha"] != seal.ErrStale.Error() {
		t.Errorf("with another token %v, %v", stale, err)
	}
	s, lock = publishes(false)
	if stale, err := s.Stale(t.Context(), lock); err != nil || stale["host.alpha"] == "" {
		t.Fatalf("after the last route %v, %v", stale, err)
	}
	gone, lock, err := s.Seal(t.Context(), lock, []string{"host.alpha"}, nil)
	for _, name := range []string{where.Path(), seal.SignaturePath(where.Path())} {
		if content, is := gone[name]; err != nil || !is || content != nil {
			t.Errorf("%s stays: %v, %v", name, is, err)
		}
	}
	maps.Copy(h.made, gone)
	s, _ = publishes(false)
	if stale, err := s.Stale(t.Context(), lock); err != nil || stale["host.alpha"] != "" {
		t.Errorf("removed, and %v, %v", stale, err)
	}
}

// TestTheRoutesOfALostHostBringTheToken to the host that takes over, in the commit that leads
// them there, and the lost host's seal goes.
func TestTheRoutesOfALostHostBringTheToken(t *testing.T) {
	t.Parallel()
	h := houseOf(t, strings.Replace(houseFleet, "hosts:\n", "hosts:\n  beta: {address: 192.0.2.11}\n", 1)+"ingress: {provider: cloudflare, account: 0a1b2c3d4e5f60718293a4b5c6d7e8f9, token: secret:cloudflare}\n", houseStack,
		map[string]string{"token": "t-1", "notes/DB": "db-1", "box_password": "b-1", "registry": "r-1", "cloudflare": "c-token"})
	led := func(host string) (*Sealer, fleet.Lock) {
		o := h.open()
		o.Checkout.Fleet.Ingress.Routes = []fleet.HostRoute{{Host: host, Declared: route.Declared{Hostname: "nas.example.com", Service: "http://192.0.2.5"}}}
		o.Checkout.Recipients["beta"] = o.Checkout.Recipients["alpha"]
		return New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, h.made), placement.Owns(&o.Checkout.Fleet, h.lock)
	}
	s, lock := led("alpha")
	files, lock, err := s.Seal(t.Context(), lock, []string{"host.alpha"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(h.made, files)
	h.lock = placement.OutdateOwn(lock, "alpha")
	s, lock = led("beta")
	stale, err := s.Stale(t.Context(), lock)
	if err != nil || stale["host.beta"] != "no sealed file yet" || stale["host.alpha"] != "the host has nothing of its own any more" {
		t.Errorf("%v, %v", stale, err)
	}
}
