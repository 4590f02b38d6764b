package storage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

// A clock is moved by those who wait for a time.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 2, 7, 59, 0, 0, time.Local)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) until(ctx context.Context, t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Before(t) {
		c.now = t
	}
	return ctx.Err()
}

// lines are those of one process.
func (c *clock) lines(dir, timetable string) Lines {
	return Lines{Dir: dir, Timetable: func(string) string { return timetable }, now: c.time, until: c.until}
}

// pass sends bytes over a line, and returns how long that took by its clock.
func pass(t *testing.T, l *Line, size int64) time.Duration {
	t.Helper()
	began := l.now()
	if n, err := io.Copy(io.Discard, l.Up(t.Context(), bytes.NewReader(make([]byte, size)))); n != size || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	return l.now().Sub(began)
}

func near(a, b time.Duration) bool { return (a - b).Abs() < 10*time.Millisecond }

// TestProcessesShareALine: two that have each opened it send no more together than the timetable
// allows, and take no longer than that. Another remote has its own.
func TestProcessesShareALine(t *testing.T) {
	t.Parallel()
	const rate, each = 1 << 20, 5 << 20
	dir, c := filepath.Join(t.TempDir(), "lines"), newClock()
	began := c.time()
	var all sync.WaitGroup
	for range 2 {
		line := c.lines(dir, "1M").To("drive")
		for range 2 {
			all.Go(func() { pass(t, line, each) })
		}
	}
	all.Wait()
	if took := c.time().Sub(began); !near(took, 4*each/rate*time.Second) {
		t.Errorf("%d bytes took %s", 4*each, took)
	}
	if left := c.lines(dir, "1M").To("drive").rate(up); left != rate {
		t.Errorf("the line has %d bytes a second", left)
	}
}

// TestTheHalvesOfALine are apart, as are the lines to two remotes.
func TestTheHalvesOfALine(t *testing.T) {
	t.Parallel()
	c := newClock()
	lines := c.lines(filepath.Join(t.TempDir(), "lines"), "1M:2M")
	line, began := lines.To("drive"), c.time()
	for range 4 {
		if _, err := line.reserve(t.Context(), up, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	received, err := io.Copy(io.Discard, line.Down(t.Context(), io.NopCloser(bytes.NewReader(make([]byte, 2<<20)))))
	if took := c.time().Sub(began); err != nil || received != 2<<20 || !near(took, time.Second) {
		t.Errorf("%d bytes in %s, %v", received, took, err)
	}
	if took := pass(t, lines.To("nas"), 1<<20); !near(took, time.Second) {
		t.Errorf("another remote's line took %s", took)
	}
	if took := pass(t, line, 1<<20); !near(took, 3*time.Second) { // four seconds were taken two seconds ago
		t.Errorf("what was reserved took %s", took)
	}
}

// TestATimetableChanges while something is sent: at its own hour, and when fleet.yaml has
// another one.
func TestATimetableChanges(t *testing.T) {
	t.Parallel()
	c, said := newClock(), "07:00,1M 08:00,2M"
	line := Lines{Timetable: func(string) string { return said }, now: c.time, until: c.until}.To("drive")
	if took := pass(t, line, 120<<20); !near(took, 90*time.Second) { // a minute at 1 MiB/s, then half a minute
		t.Errorf("120 MiB took %s", took)
	}
	pass(t, line, 2<<20)
	said = "4M"
	if took := pass(t, line, 240<<20); took > time.Minute+askAgain || took < time.Minute {
		t.Errorf("240 MiB took %s", took)
	}
	said = "nonsense"
	if took := pass(t, line, 240<<20); !near(took, time.Minute) {
		t.Errorf("240 MiB took %s with a timetable that can't be read", took)
	}
	said = ""
	pass(t, line, 4*(1+int64(askAgain.Seconds()))<<20)
	if took := pass(t, line, 240<<20); took != 0 {
		t.Errorf("240 MiB took %s without one", took)
	}
}

// TestWaitingForALineEnds with what it is for.
func TestWaitingForALineEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	line := Lines{Dir: t.TempDir(), Timetable: func(string) string { return "1k" }}.To("drive")
	if _, err := line.reserve(ctx, up, 30*time.Second); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, cancel)
	n, err := io.Copy(io.Discard, line.Up(ctx, strings.NewReader("content")))
	if n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestALinesFileIsDamaged, away or of a clock that was put back: the process goes by what it
// knows itself.
func TestALinesFileIsDamaged(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(dir string) error{
		"cut": func(dir string) error { return os.WriteFile(filepath.Join(dir, "drive"), []byte("x"), 0o600) },
		"far ahead": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "drive"), bytes.Repeat([]byte{0x6f}, 16), 0o600)
		},
		"not a file":   func(dir string) error { return os.Mkdir(filepath.Join(dir, "drive"), 0o700) },
		"not a folder": func(dir string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) },
	} {
		dir, c := t.TempDir(), newClock()
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		line := c.lines(dir, "1M").To("drive")
		if took := pass(t, line, 4<<20); !near(took, 4*time.Second) {
			t.Errorf("%s: 4 MiB took %s", name, took)
		}
	}
}

// TestAFolderGoesByTheLine of its remote in both directions, through a crypt remote as well.
func TestAFolderGoesByTheLine(t *testing.T) {
	t.Parallel()
	const size = 1 << 20
	dir := t.TempDir()
	remotes := Remotes{"disk": {Type: typeLocal}, "box": {Type: typeCrypt, Options: map[string]secret.Value{
		"remote": secret.NewString("disk:" + filepath.Join(dir, "sealed")), "password": secret.NewString("a password"),
	}}}
	for name, path := range map[string]string{"disk": filepath.Join(dir, "plain"), "box": "data"} {
		c, asked := newClock(), ""
		computer := Computer{Lines: c.lines(filepath.Join(dir, "lines of "+name), "")}
		computer.Lines.Timetable = func(remote string) string { asked = remote; return "1M:512k" }
		f, err := computer.Open(t.Context(), remotes, fleet.Location{Remote: name, Path: path})
		if err != nil {
			t.Fatal(err)
		}
		began := c.time()
		if _, err := f.Put(t.Context(), "object", bytes.NewReader(make([]byte, size)), size); err != nil {
			t.Fatal(err)
		}
		if sent := c.time().Sub(began); sent < time.Second || asked != "disk" {
			t.Errorf("%s: sent in %s, by the timetable of %q", name, sent, asked)
		}
		began = c.time()
		body, err := f.Get(t.Context(), "object", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if took := c.time().Sub(began); n != size || err != nil || !near(took, 2*time.Second) {
			t.Errorf("%s: %d bytes in %s, %v", name, n, took, err)
		}
		if err := errors.Join(body.Close(), f.Close(t.Context())); err != nil {
			t.Fatal(err)
		}
	}
}
