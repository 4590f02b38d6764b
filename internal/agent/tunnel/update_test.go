package tunnel

import (
	"context"
	"fmt"
	"testing"
	"time"

	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/stack/stacktest"
)

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
