package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"salvor/internal/progress"
)

func event(at time.Duration, st progress.State, text string) progress.Event {
	base := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	return progress.Event{Time: base.Add(at), Host: "alpha", Stack: "notes", Step: "restore volumes", State: st, Text: text}
}

func TestPlainPrintsOneLineForAStep(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, Plain, nil, false)
	p.Emit(event(0, progress.Started, ""))
	p.Emit(event(time.Second, progress.Running, ""))
	p.Emit(event(3200*time.Millisecond, progress.Done, "12 MiB"))
	p.Emit(event(4*time.Second, progress.Failed, "disk full"))
	p.Close()
	want := "alpha notes: restore volumes: 12 MiB (3.2s)\nfailed: alpha notes: restore volumes: disk full\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}

// TestS12AFloodOfStepsIsNotKept: a host may say to have begun a million.
func TestS12AFloodOfStepsIsNotKept(t *testing.T) {
	l := newLive(io.Discard, func() (int, int) { return 80, 24 }, false)
	for i := range 2 * maxRunning {
		l.Emit(progress.Event{State: progress.Started, Step: fmt.Sprint(i)})
	}
	l.Emit(progress.Event{State: progress.Done, Step: "1"})
	if n := len(l.running); n != maxRunning-1 {
		t.Errorf("%d steps are kept", n)
	}
	l.Close()
}

func TestLiveKeepsFinishedStepsAndErasesRunningOnes(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, TTY, func() (int, int) { return 80, 24 }, false)
	p.Emit(event(0, progress.Started, ""))
	p.Emit(event(3*time.Second, progress.Done, "12 MiB"))
	p.Close()
	p.Close()
	screen := out.String()
	if !strings.Contains(screen, "\x1b[1A\x1b[J") || !strings.Contains(screen, "✔ alpha notes") || !strings.Contains(screen, "3.0s") {
		t.Errorf("screen is %q", screen)
	}
	for _, line := range strings.Split(strings.TrimSpace(screen), "\n") {
		if n := len([]rune(line)); n > 90 {
			t.Errorf("line of %d characters on a terminal of 80: %q", n, line)
		}
	}
}

func TestLiveFitsTheTerminal(t *testing.T) {
	for name, size := range map[string][2]int{"narrow": {30, 24}, "low": {80, 5}, "tiny": {10, 3}} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			p := NewProgress(&out, TTY, func() (int, int) { return size[0], size[1] }, false)
			for i := range 40 {
				e := event(0, progress.Started, "a text that goes on and on and on")
				e.Stack = strings.Repeat("s", i)
				p.Emit(e)
			}
			p.Close()
			for frame := range strings.SplitSeq(out.String(), "\x1b[J") {
				lines := strings.Split(frame, "\n")
				for _, line := range lines {
					if n := len([]rune(line)); n > size[0] {
						t.Errorf("line of %d characters on a terminal of %d: %q", n, size[0], line)
					}
				}
				if len(lines) > size[1] {
					t.Errorf("%d lines on a terminal of %d", len(lines), size[1])
				}
			}
		})
	}
}

func TestTriflesAreNotPrinted(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, Plain, nil, false)
	p.Emit(event(0, progress.Started, ""))
	p.Emit(event(20*time.Millisecond, progress.Done, ""))
	p.Emit(event(0, progress.Skipped, "already so"))
	if out.Len() > 0 {
		t.Errorf("got %s", out.String())
	}
	p.Emit(event(0, progress.Started, ""))
	p.Emit(event(20*time.Millisecond, progress.Failed, "disk full"))
	if !strings.Contains(out.String(), "disk full") {
		t.Errorf("a failure is not printed: %q", out.String())
	}
}

// TestWhatIsLeft is for long restores: the pace so far says how long the rest takes, once
// it is known.
func TestWhatIsLeft(t *testing.T) {
	for name, c := range map[string]struct {
		ran          time.Duration
		bytes, total int64
		want         string
	}{
		"too early":                          {4 * time.Second, 1, 4, ""},
		"a quarter":                          {30 * time.Second, 1, 4, ", 1m30s left"},
		"hours":                              {time.Hour, 1, 4, ", 3h left"},
		"not begun":                          {time.Minute, 0, 4, ""},
		"at the end":                         {time.Minute, 4, 4, ""},
		"more than said, as when files grow": {time.Minute, 5, 4, ""},
	} {
		if got := (&step{bytes: c.bytes, total: c.total}).left(c.ran); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
