package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"salvor/internal/progress"
	"salvor/internal/secret"
)

// onTerminal is a command's globals on a terminal, and that terminal's other end.
func onTerminal(t *testing.T) (g *globals, screen *screen, interrupt func()) {
	t.Helper()
	person, program, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close(); program.Close() })
	ctx, interrupt := context.WithCancel(t.Context())
	g = &globals{prompts: prompts{output: output{Console: Console{In: program, Out: program, Err: program, Term: program}}, interrupted: ctx.Done()}}
	screen = watch(person)
	return g, screen, interrupt
}

// screen collects what a terminal shows.
type screen struct {
	person *os.File
	mu     sync.Mutex
	shown  strings.Builder
}

func watch(person *os.File) *screen {
	s := &screen{person: person}
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := person.Read(buffer)
			s.mu.Lock()
			s.shown.Write(buffer[:n])
			s.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return s
}

func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shown.String()
}

// await waits until the terminal shows something.
func (s *screen) await(t *testing.T, what string) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(s.text(), what) {
		select {
		case <-deadline:
			t.Fatalf("%q is not on the screen: %q", what, s.text())
		case <-tick.C:
		}
	}
}

func (s *screen) send(t *testing.T, keys string) {
	t.Helper()
	if _, err := io.WriteString(s.person, keys); err != nil {
		t.Fatal(err)
	}
}

// TestPromptsAreSeenBesideProgress is fault D11: a passphrase that is asked for in
// the midst of live progress was erased by the next frame.
func TestPromptsAreSeenBesideProgress(t *testing.T) {
	g, screen, _ := onTerminal(t)
	bar := g.progress()
	end := progress.Scope{Sink: bar, Host: "alpha"}.Step("claim", "")
	screen.await(t, "claim")
	typed := make(chan secret.Value)
	go func() {
		value, err := g.passphrase("Passphrase of me: ")
		if err != nil {
			t.Error(err)
		}
		typed <- value
	}()
	screen.await(t, "Passphrase of me: ")
	progress.Scope{Sink: bar, Host: "alpha"}.Note("something ended meanwhile")
	for i := range 50 { // what would be drawn is held back
		progress.Scope{Sink: bar, Host: "alpha"}.Bytes("claim", int64(i), 50)
	}
	_, after, _ := strings.Cut(screen.text(), "Passphrase of me: ")
	if after != "" {
		t.Errorf("the question is followed by %q", after)
	}
	screen.send(t, "correct horse\n")
	if value := <-typed; string(value.Reveal()) != "correct horse" {
		t.Errorf("typed %q", value.Reveal())
	}
	screen.await(t, "something ended meanwhile")
	end(nil, "done")
	bar.Close()
	screen.await(t, "✔")
}

// TestCtrlCEndsEveryPrompt is fault D13.
func TestCtrlCEndsEveryPrompt(t *testing.T) {
	for name, ask := range map[string]func(*globals) error{
		"yes or no":  func(g *globals) error { return g.confirm("Apply to home?") },
		"a name":     func(g *globals) error { return g.confirmName("This loses data", "home") },
		"passphrase": func(g *globals) error { _, err := g.passphrase("Passphrase: "); return err },
		"a secret":   func(g *globals) error { _, err := g.readSecret("token"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			g, screen, interrupt := onTerminal(t)
			ended := make(chan error)
			go func() { ended <- ask(g) }()
			screen.await(t, map[bool]string{true: "[y/N] ", false: ": "}[name == "yes or no"])
			interrupt()
			if err := <-ended; !errors.Is(err, errInterrupted) {
				t.Errorf("ended with %v", err)
			}
		})
	}
}

// TestCtrlDIsNo is the other half of fault D13: it was "salvor: EOF".
func TestCtrlDIsNo(t *testing.T) {
	g, screen, _ := onTerminal(t)
	ended := make(chan error)
	go func() { ended <- g.confirm("Apply to home?") }()
	screen.await(t, "[y/N] ")
	screen.send(t, "\x04")
	if err := <-ended; !errors.Is(err, errNotConfirmed) {
		t.Errorf("ended with %v", err)
	}
}

// prompted is a terminal that notes whether it shows what is typed when a question appears.
type prompted struct {
	tty    *os.File
	echoes []bool
}

func (p *prompted) Write(text []byte) (int, error) {
	state, err := unix.IoctlGetTermios(int(p.tty.Fd()), getTermios)
	if err == nil && strings.Contains(string(text), "Passphrase") {
		p.echoes = append(p.echoes, state.Lflag&unix.ECHO != 0)
	}
	return p.tty.Write(text)
}

// TestAPassphraseIsHiddenBeforeItIsAskedFor: a password manager types at once, and the
// terminal showed what it typed until the echo was off.
func TestAPassphraseIsHiddenBeforeItIsAskedFor(t *testing.T) {
	t.Parallel()
	g, screen, _ := onTerminal(t)
	tty := &prompted{tty: g.Term}
	g.Err = tty
	got := make(chan secret.Value, 1)
	go func() {
		value, _ := g.passphrase("Passphrase: ")
		got <- value
	}()
	screen.await(t, "Passphrase: ")
	screen.send(t, "horse\n")
	if value := <-got; string(value.Reveal()) != "horse" || len(tty.echoes) != 1 || tty.echoes[0] {
		t.Errorf("read %d letters, with echo %v", len(value.Reveal()), tty.echoes)
	}
	state, err := unix.IoctlGetTermios(int(g.Term.Fd()), getTermios)
	if err != nil || state.Lflag&unix.ECHO == 0 {
		t.Errorf("afterwards the terminal shows nothing: %v", err)
	}
}
