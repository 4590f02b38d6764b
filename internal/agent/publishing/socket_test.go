package publishing

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/cloudflare/cloudflaretest"
	"salvor/internal/fault"
)

// TestAnApplyIsHeard: an apply begins before the daemon runs, as on a new host. What it deploys
// is live before it has containers, and it gets to know what is live at its end.
func TestAnApplyIsHeard(t *testing.T) {
	s := newStand(t)
	s.place("notes", false, plain("notes"))
	s.spec.Ingress.Routes = append(s.own(), plain("nas"))
	s.save()
	announced := Announce(t.Context(), s.Host, s.spec)
	defer announced.End()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	s.run()
	go func() { served <- s.d.Serve(ctx) }()
	defer func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
		s.end()
	}()
	for !s.api.Visit("notes.example.com", "/").Reached() {
		if here.Sleep(t.Context(), 5*time.Millisecond) != nil {
			t.Fatal("it is never live")
		}
	}
	got := announced.settle(t.Context())
	if want := []string{"nas.example.com", "notes.example.com"}; !slices.Equal(got.Live, want) || len(got.Pending) > 0 || got.Why != "" {
		t.Errorf("%+v", got)
	}
	s.api.EndToken(token)
	got = announced.settle(t.Context())
	if len(got.Live) != 2 || !strings.Contains(got.Why, "token") {
		t.Errorf("with a token that has ended: %+v", got)
	}
	s.deployed("notes")
	if _, err := TakeOff(t.Context(), s.Host); err == nil || fault.Hint(err) == "" {
		t.Errorf("taken off: %v", err)
	}
	s.api.AddToken(token, cloudflaretest.All)
	if took, err := TakeOff(t.Context(), s.Host); err != nil || !took || len(s.api.Records("example.com")) > 0 || !s.tunnel.stopped {
		t.Errorf("taken off: %t, %v, %+v", took, err, s.api.Records("example.com"))
	}
	if took, err := TakeOff(t.Context(), s.Host); err != nil || took {
		t.Errorf("taken off again: %t, %v", took, err)
	}
	announced.End()
	for len(s.d.deploying()) > 0 {
		if here.Sleep(t.Context(), 5*time.Millisecond) != nil {
			t.Fatal("the announcement never ends")
		}
	}
}

// TestAnApplyWithoutTheDaemon waits no longer than its own end, and says what is pending.
func TestAnApplyWithoutTheDaemon(t *testing.T) {
	s := newStand(t)
	s.place("notes", false, plain("notes"))
	announced := Announce(t.Context(), s.Host, s.spec)
	defer announced.End()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if got := announced.settle(ctx); !slices.Equal(got.Pending, []string{"notes.example.com"}) || got.Why == "" {
		t.Errorf("%+v", got)
	}
	s.spec.Ingress = nil
	if Announce(t.Context(), s.Host, s.spec) != nil {
		t.Error("a host that publishes nothing announces")
	}
}
