package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"salvor/internal/cloudflare"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fault"
	"salvor/internal/stack/stacktest"
)

func TestATunnelIsMadeAndServed(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	if found.Name != "salvor-home-alpha" || s.connected(found.ID) != 1 {
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
			id = s.api.AddTunnel("salvor-home-alpha", 0)
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
			s.person().KeepLocally(s.api.AddTunnel("salvor-home-alpha", 0))
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

// updates are the reasons for another connector.
func updates() map[string]func(s *stand, with *Settings) {
	return map[string]func(s *stand, with *Settings){
		"image":   func(_ *stand, with *Settings) { with.Image = "cloudflare/cloudflared:2026.9.1" },
		"network": func(_ *stand, with *Settings) { with.Network.Name = "proxy" },
		"token": func(s *stand, _ *Settings) {
			s.api.RenewToken(s.tunnel.current().Tunnel.ID)
			s.pass(lookEvery)
		},
	}
}

func TestAnUpdateDropsNoHostname(t *testing.T) {
	for name, change := range updates() {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			found := s.ensure(settings())
			s.set(slotA, func(c *served) { c.version = 7 })
			first := s.engine.Containers()[0].ID
			with := settings()
			change(s, &with)
			s.step = func(int) {
				if s.connected(found.ID) == 0 {
					t.Error("for a moment no connector was connected")
				}
			}
			s.ensure(with)
			if s.connected(found.ID) != 2 || s.engine.State(first) != "running" {
				t.Fatalf("%d connectors; the first is %s", s.connected(found.ID), s.engine.State(first))
			}
			if n, err := s.tunnel.Version(t.Context()); err != nil || n != 0 {
				t.Errorf("the version of both is %d, %v", n, err)
			}
			s.ensure(with) // the second does not have the rules yet
			if s.connected(found.ID) != 2 {
				t.Fatal("the first was stopped before the second had its rules")
			}
			s.set(slotB, func(c *served) { c.version = 7 })
			s.ensure(with)
			if n, err := s.tunnel.Version(t.Context()); err != nil || n != 7 || s.connected(found.ID) != 1 || s.of()[slotB] == nil {
				t.Errorf("version %d, %v; %d connectors", n, err, s.connected(found.ID))
			}
			if got := s.of()[slotB].token; got != s.api.ConnectorToken(found.ID).String() {
				t.Errorf("it has the token %s", got)
			}
			calls := s.calls()
			s.ensure(with)
			if s.calls() != calls {
				t.Error("it asks again")
			}
		})
	}
}

func TestAnUpdateThatIsTakenBack(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	s.set(slotA, func(c *served) { c.version = 7 })
	with := settings()
	with.Network.Name = "proxy"
	s.ensure(with)
	s.ensure(settings())
	if s.connected(found.ID) != 1 || s.of()[slotA] == nil {
		t.Errorf("connectors are %v", s.of())
	}
}

func TestAnUpdateThatDoesNotStart(t *testing.T) {
	s := newStand(t)
	found := s.ensure(settings())
	with := settings()
	with.Image = "cloudflare/cloudflared:2026.9.1"
	s.broken["cloudflare/cloudflared:2026.9.1@sha256:2026.9.1"] = true
	s.ensure(with)
	if s.connected(found.ID) != 1 || s.of()[slotA] == nil {
		t.Fatalf("connectors are %v", s.of())
	}
	if all, err := s.tunnel.Findings(t.Context(), nil); err != nil || len(all) != 1 || all[0].Code != "connector-kept" {
		t.Errorf("findings are %v, %v", all, err)
	}
	pulls := ran(s.engine, "pull")
	s.ensure(with)
	if ran(s.engine, "pull") != pulls {
		t.Error("it is tried again at once")
	}
	delete(s.broken, "cloudflare/cloudflared:2026.9.1@sha256:2026.9.1")
	s.pass(again)
	s.set(slotA, func(c *served) { c.version = 0 })
	s.ensure(with)
	s.set(slotB, func(c *served) { c.version = 0 })
	s.ensure(with)
	if all, err := s.tunnel.Findings(t.Context(), nil); err != nil || len(all) != 0 || s.of()[slotB] == nil {
		t.Errorf("findings are %v, %v; connectors %v", all, err, s.of())
	}
}

func ran(e *stacktest.Engine, word string) int {
	n := 0
	for _, c := range e.Calls() {
		for _, arg := range c.Argv {
			if arg == word {
				n++
			}
		}
	}
	return n
}

// TestKilledAtEachStep ends salvord at each call of the machine and after each of Cloudflare's, for
// the first start and for each kind of update, and lets the next one continue.
func TestKilledAtEachStep(t *testing.T) {
	kinds := updates()
	kinds["start"] = nil
	total := 0
	for name, change := range kinds {
		for _, back := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, taken back: %v", name, back), func(t *testing.T) {
				for at := 1; killedAt(t, at, change, back); at++ {
					total++
				}
			})
		}
	}
	t.Logf("killed %d times", total)
}

// killedAt reports whether there was such a step. An update may be taken back before it continues.
func killedAt(t *testing.T, at int, change func(*stand, *Settings), back bool) (killed bool) {
	t.Helper()
	s := newStand(t)
	with, version := settings(), 0
	if change != nil {
		s.ensure(with)
		version = 7
		s.set(slotA, func(c *served) { c.version = version })
		change(s, &with)
	}
	ctx, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	s.steps = 0
	s.api.Seen = func(cloudflaretest.Call) { s.before() }
	s.step = func(n int) {
		if n == at {
			killed = true
			kill(errKilled)
		}
		if found := s.tunnel.current().Tunnel.ID; change != nil && s.connected(found) == 0 {
			t.Errorf("killed at %d: no connector at %d", at, n)
		}
	}
	_, err := s.tunnel.Ensure(ctx, with, s.client())
	if killed && at < s.steps && err == nil {
		t.Fatalf("killed at %d of %d, and no error", at, s.steps)
	}
	s.again()
	s.step = nil
	if back {
		with = settings()
	} else if err := s.tunnel.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.ensure(with)
		for name := range s.of() {
			s.set(name, func(c *served) { c.version = version })
		}
	}
	k := s.tunnel.current()
	if len(k.Slots) != 1 || s.connected(k.Tunnel.ID) != 1 || len(s.of()) != 1 || s.of()[k.Slots[0].Name].token != s.api.ConnectorToken(k.Tunnel.ID).String() {
		t.Fatalf("killed at %d: slots %+v, connectors %v", at, k.Slots, s.of())
	}
	return killed
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

func TestASecondConnectorIsWaitedForShortly(t *testing.T) {
	s := newStand(t)
	s.ensure(settings())
	s.set(slotA, func(c *served) { c.version = 7 })
	s.tunnel.takeOver = time.Minute
	with := settings()
	with.Network.Name = "proxy"
	s.step = func(int) {
		if c := s.of()[slotB]; c != nil {
			s.set(slotB, func(c *served) { c.version = 8 })
		}
	}
	s.ensure(with)
	if got := s.of(); len(got) != 1 || got[slotB] == nil {
		t.Errorf("connectors are %v", got)
	}
}
