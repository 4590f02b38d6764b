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

// serve has the daemon run, and take what applies say, until the test ends.
func (s *stand) serve() {
	ctx, stop := context.WithCancel(s.Context())
	served := make(chan error, 1)
	s.run()
	go func() { served <- s.d.Serve(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			s.Error(err)
		}
		s.end()
	})
}

func (s *stand) until(what string, met func() bool) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	defer cancel()
	for !met() {
		if here.Sleep(ctx, 5*time.Millisecond) != nil {
			s.Fatalf("%s: never", what)
		}
	}
}

// TestAnApplyIsHeard: an apply begins before the daemon runs, as on a new host. What it deploys
// is live before it has containers, and it gets to know what is live at its end.
func TestAnApplyIsHeard(t *testing.T) {
	s := newStand(t)
	s.place("notes", false, plain("notes"))
	s.spec.Ingress.Routes = append(s.own(), plain("nas"))
	s.save()
	announced := Announce(t.Context(), s.Host, s.spec)
	defer announced.End()
	s.serve()
	s.until("it is live", func() bool { return s.api.Visit("notes.example.com", "/").Reached() })
	got := announced.settle(t.Context())
	if want := []string{"nas.example.com", "notes.example.com"}; !slices.Equal(got.Live, want) || len(got.Pending) > 0 || got.Why != "" {
		t.Errorf("%+v", got)
	}
	s.api.EndToken(token)
	got = announced.settle(t.Context())
	if len(got.Live) != 2 || !strings.Contains(got.Why, "token") {
		t.Errorf("with a token that has ended: %+v", got)
	}
	announced.End()
	s.until("the announcement has ended", func() bool { return len(s.d.deploying()) == 0 })
}

// TestWhatIsGivenBackIsTakenOff: a stack, and then the host, whose token has to work for that.
func TestWhatIsGivenBackIsTakenOff(t *testing.T) {
	s := newStand(t)
	s.place("notes", true, plain("notes"))
	s.place("wiki", true, plain("wiki"))
	s.serve()
	s.until("both are live", func() bool { return len(Seen(s.Host).Routes) == 2 && Seen(s.Host).Routes[1].Live })
	s.spec.Stacks = s.spec.Stacks[:1]
	s.save()
	Withdraw(t.Context(), s.Host)
	if r := s.api.Records("example.com"); len(r) != 1 || r[0].Name != "notes.example.com" {
		t.Errorf("without wiki: %+v", r)
	}
	s.api.EndToken(token)
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
