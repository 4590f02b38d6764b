package docker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/docker"
	"salvor/internal/machine/machinetest"
)

// A streamer is an engine that has nothing but events.
type streamer struct {
	*machinetest.Fake
	mu     sync.Mutex // guards what follows
	away   bool
	open   []net.Conn
	asked  []url.Values
	dialed []time.Time
}

func newStreamer() *streamer {
	s := &streamer{Fake: machinetest.NewFake()}
	s.Serve("unix", "/var/run/docker.sock", s.serve)
	return s
}

func (s *streamer) serve(c net.Conn) {
	r, err := http.ReadRequest(bufio.NewReader(c))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialed = append(s.dialed, time.Now())
	if err != nil || s.away {
		c.Close()
		return
	}
	s.asked, s.open = append(s.asked, r.URL.Query()), append(s.open, c)
	fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
}

// says sends a part of the stream on the newest connection.
func (s *streamer) says(part string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.open[len(s.open)-1], "%x\r\n%s\r\n", len(part), part)
}

// ends ends the connection, as an engine does that restarts.
func (s *streamer) ends(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[len(s.open)-1].Close()
	s.away = away
}

func (s *streamer) back() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = false
}

// watch follows the engine in the bubble; looks returns how often it was said to look again.
func watch(t *testing.T, s *streamer) (looks func() int, stop func() error) {
	e := docker.New(s)
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	n, ended := 0, make(chan error, 1)
	go func() {
		defer e.Close()
		ended <- e.Watch(ctx, func() { mu.Lock(); defer mu.Unlock(); n++ })
	}()
	looks = func() int {
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		return n
	}
	return looks, func() error { cancel(); return <-ended }
}

func TestAWatchSaysToLookAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreamer()
		looks, stop := watch(t, s)
		if looks() != 1 {
			t.Errorf("%d looks after the first connection, want 1", looks())
		}
		for _, part := range []string{`{"Type":"container","Action":"start"}` + "\n" + `{"Type":"container",`, `"Action":"die"}` + "\n"} {
			s.says(part)
		}
		if looks() != 3 {
			t.Errorf("%d looks after two events, want 3", looks())
		}
		<-time.After(time.Hour) // without an event
		if looks() != 3 {
			t.Errorf("%d looks after a quiet hour, want 3", looks())
		}
		if asked := s.asked[0].Get("filters"); strings.Contains(asked, "exec") || strings.Contains(asked, "health") || !strings.Contains(asked, `"die"`) {
			t.Errorf("it asks for %s", asked)
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// TestAWatchOutlivesTheEngine: what happened without a connection is not known, so each new
// one is a reason to look.
func TestAWatchOutlivesTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStreamer()
		looks, stop := watch(t, s)
		looks()
		s.ends(false)
		<-time.After(time.Second)
		if looks() != 2 {
			t.Errorf("%d looks after a restart, want 2", looks())
		}
		s.ends(true)
		tries := len(s.dialed)
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if tries = len(s.dialed) - tries; tries < 30 || tries > 50 || looks() != 2 {
			t.Errorf("%d tries in ten minutes and %d looks, want about 45 and 2", tries, looks())
		}
		s.back()
		<-time.After(15 * time.Second)
		if looks() != 3 {
			t.Errorf("%d looks after the engine is back, want 3", looks())
		}
		s.says("\x00 is not JSON")
		<-time.After(time.Minute)
		if looks() != 4 {
			t.Errorf("%d looks after a broken stream, want 4", looks())
		}
		if err := stop(); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}
