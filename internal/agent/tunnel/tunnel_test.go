package tunnel

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fault"
)

func TestATunnelIsMadeAndServed(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	if found.Name != "salvor-home.alpha" || s.connected(found.ID) != 1 {
		t.Fatalf("the tunnel is %+v with %d connectors", found, s.connected(found.ID))
	}
	token := s.api.ConnectorToken(found.ID).String()
	at := filepath.Join(s.host.Paths.Secrets().Service(Project, slotA), tokenFile)
	info, err := os.Stat(at)
	if err != nil {
		t.Fatal(err)
	}
	if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o400 || st.Uid != user {
		t.Errorf("the token has mode %v and owner %d", info.Mode(), st.Uid)
	}
	if kept, err := os.ReadFile(s.tunnel.file()); err != nil || bytes.Contains(kept, []byte(token)) || bytes.Contains(kept, []byte(found.ID)) {
		t.Errorf("the token lies on the disk in clear, %v", err)
	}
	for name, file := range s.engine.Files() {
		if bytes.Contains(file.Content, []byte(token)) {
			t.Errorf("%s has the token", name)
		}
	}
	for _, c := range s.engine.Calls() {
		if strings.Contains(strings.Join(c.Argv, " "), token) {
			t.Errorf("%v has the token", c.Argv)
		}
	}
	if r, _, err := s.host.Stacks.Deployed(t.Context(), Project); err != nil || r.Images[slotA] != "cloudflare/cloudflared:2026.8.0@sha256:2026.8.0" {
		t.Errorf("the images are %v, %v", r.Images, err)
	}
}

func TestAnIdleCallAsksCloudflareNothing(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	calls, made := s.calls(), len(s.engine.Containers())
	if calls != 3 {
		t.Errorf("a new tunnel took %d calls", calls)
	}
	s.ensure(settings())
	if s.calls() != calls || len(s.engine.Containers()) != made {
		t.Errorf("%d calls and %d containers more", s.calls()-calls, len(s.engine.Containers())-made)
	}
	s.again() // which looks once
	s.ensure(settings())
	s.ensure(settings())
	if s.calls() != calls+2 {
		t.Errorf("%d calls after salvord started again", s.calls()-calls)
	}
	s.pass(lookEvery)
	s.ensure(settings())
	if s.calls() != calls+4 {
		t.Errorf("%d calls after an hour", s.calls()-calls)
	}
}

// TestThePinOfTheLockChangesNothing has the lock learn which image runs.
func TestThePinOfTheLockChangesNothing(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	with := settings()
	with.Image += "@sha256:2026.8.0"
	s.ensure(with)
	if all := s.engine.Containers(); len(all) != 1 || all[0].Service != slotA {
		t.Errorf("containers are %v", all)
	}
}

func TestAnotherMakesTheTunnelFirst(t *testing.T) {
	s := newStand(t)
	var id string
	s.api.Seen = func(c cloudflaretest.Call) {
		if id == "" {
			id = s.api.AddTunnel("salvor-home.alpha", 0)
		}
	}
	if found := s.ensure(settings()); found.ID != id {
		t.Errorf("the tunnel is %s, another made %s", found.ID, id)
	}
}

func TestTunnelsThatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct {
		make func(s *stand) Settings
		hint string
	}{
		"its own, with rules in a file": {func(s *stand) Settings {
			s.person().KeepLocally(s.api.AddTunnel("salvor-home.alpha", 0))
			return settings()
		}, "delete it at Cloudflare"},
		"adopted, with rules in a file": {func(s *stand) Settings {
			with := settings()
			with.ID = s.api.AddTunnel("dockflare", 0)
			s.person().KeepLocally(with.ID)
			return with
		}, "migrate it"},
		"adopted and deleted": {func(s *stand) Settings {
			with := settings()
			with.ID = s.api.AddTunnel("dockflare", 0)
			s.person().DeleteTunnel(with.ID)
			return with
		}, "ingress.tunnels"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			with := c.make(s)
			_, err := s.tunnel.Ensure(t.Context(), with, s.client())
			if err == nil || !strings.Contains(fault.Hint(err), c.hint) {
				t.Errorf("got %v, with the hint %q", err, fault.Hint(err))
			}
			for _, call := range s.api.Calls() {
				if call.Writes() {
					t.Errorf("it was answered by %s %s", call.Method, call.Path)
				}
			}
			if found, err := s.tunnel.Findings(t.Context(), nil); err != nil || len(found) != 1 {
				t.Errorf("findings are %v, %v", found, err)
			}
		})
	}
}

func TestAnAdoptedTunnelIsServed(t *testing.T) {
	s := newStand(t)
	with := settings()
	with.ID = s.api.AddTunnel("dockflare", 0)
	if found := s.ensure(with); found.ID != with.ID || s.connected(with.ID) != 1 {
		t.Errorf("the tunnel is %+v", found)
	}
}

// TestABootWithoutCloudflare starts the connector from what is on the disk.
func TestABootWithoutCloudflare(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	for _, c := range s.engine.Containers() {
		s.engine.Set(c.ID, "exited")
	}
	if err := os.RemoveAll(s.host.Paths.Run); err != nil {
		t.Fatal(err)
	}
	calls := s.calls()
	s.again()
	if err := s.tunnel.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.connected(found.ID) != 1 || s.calls() != calls {
		t.Errorf("%d connectors, %d calls", s.connected(found.ID), s.calls()-calls)
	}
	s.api.Weather = func(string, string) cloudflaretest.Fault { return cloudflaretest.Fault{Status: 503} }
	got, err := s.tunnel.Ensure(t.Context(), settings(), s.client())
	if !errors.Is(err, cloudflare.ErrAway) || got.ID != found.ID || s.connected(found.ID) != 1 {
		t.Errorf("with Cloudflare away: %v, %v", got, err)
	}
}

// TestAFirstStartThatFailed is made up for after a boot, without Cloudflare.
func TestAFirstStartThatFailed(t *testing.T) {
	s := newStand(t)
	const image = "cloudflare/cloudflared:2026.8.0@sha256:2026.8.0"
	s.broken[image] = true
	if _, err := s.tunnel.Ensure(t.Context(), settings(), s.client()); err == nil {
		t.Fatal("no error")
	}
	delete(s.broken, image)
	s.again()
	if err := s.tunnel.Start(t.Context()); err != nil || s.connected(s.tunnel.current().Tunnel.ID) != 1 {
		t.Errorf("connectors are %v, %v", s.of(), err)
	}
}

func TestATunnelThatAPersonDeletes(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	s.person().DeleteTunnel(found.ID)
	s.set(slotA, func(c *served) { c.away = true })
	if _, err := s.tunnel.Version(t.Context()); !errors.Is(err, ErrSilent) {
		t.Fatalf("got %v", err)
	}
	s.pass(doubtful)
	now := s.ensure(settings())
	if now.ID == found.ID || s.connected(now.ID) != 1 || len(s.of()) != 1 {
		t.Errorf("the tunnel is %s, before %s; connectors %v", now.ID, found.ID, s.of())
	}
}

// TestATunnelThatCloudflareDoesNotKnow has the connector not notice.
func TestATunnelThatCloudflareDoesNotKnow(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	s.person().DeleteTunnel(found.ID)
	if now := s.ensure(settings()); now.ID != found.ID {
		t.Fatal("it looks each time")
	}
	s.tunnel.Doubt()
	now := s.ensure(settings())
	s.tunnel.Moved(now)
	if s.ensure(settings()); now.ID == found.ID || s.connected(now.ID) != 1 || len(s.of()) != 1 {
		t.Errorf("the tunnel is %s, before %s; connectors %v", now.ID, found.ID, s.of())
	}
}

// TestAnotherTunnel has hostnames lead to the new one before the old one has no connector.
func TestAnotherTunnel(t *testing.T) {
	s := newStand(t)
	before := s.ensure(settings())
	s.set(slotA, func(c *served) { c.version = 57 })
	with := settings()
	with.ID = s.api.AddTunnel("dockflare", 0)
	s.pass(lookEvery)
	now := s.ensure(with)
	s.set(slotB, func(c *served) { c.version = 3 })
	s.ensure(with)
	if now.ID != with.ID || s.connected(before.ID) != 1 || s.connected(now.ID) != 1 {
		t.Fatalf("connectors are %v", s.of())
	}
	s.set(slotA, func(c *served) { c.version = 2 })
	if n, err := s.tunnel.Version(t.Context()); err != nil || n != 3 {
		t.Errorf("the version is %d, %v", n, err)
	}
	s.tunnel.Moved(now)
	s.ensure(with)
	if s.connected(before.ID) != 0 || s.connected(now.ID) != 1 {
		t.Errorf("connectors are %v", s.of())
	}
}

func TestWhatCannotBeOpenedIsAskedAgain(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	if err := os.WriteFile(s.tunnel.file(), []byte("age-encryption.org/v1\nno\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.again()
	if now := s.ensure(settings()); now.ID != found.ID || s.connected(now.ID) != 1 {
		t.Errorf("the tunnel is %+v; connectors %v", now, s.of())
	}
}

func TestStop(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	for range 2 {
		if err := s.tunnel.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.engine.Containers()) != 0 {
		t.Errorf("containers are %v", s.engine.Containers())
	}
	for _, at := range []string{s.tunnel.file(), s.host.Paths.Secrets().Stack(Project)} {
		if _, err := os.Stat(at); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there, %v", at, err)
		}
	}
	if found := s.ensure(settings()); s.connected(found.ID) != 1 {
		t.Error("it does not start again")
	}
}
