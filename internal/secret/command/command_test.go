package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/secret"
)

const canary = "hunter2-canary"

// open runs a shell script as the program of one secret.
func open(t *testing.T, script string) (secret.Value, error) {
	t.Helper()
	p := New(map[string]Program{"nas": {Argv: []string{"/bin/sh", "-c", script}, Timeout: 20 * time.Second}}, Options{Run: local.Machine{}, Allow: allowIn(t.TempDir())})
	return p.Open(t.Context(), "nas")
}

func TestTheValueIsWhatIsPrinted(t *testing.T) {
	for script, want := range map[string]string{
		`printf hunter2`:               "hunter2",
		`echo hunter2`:                 "hunter2",
		`printf 'hunter2\r\n'`:         "hunter2",
		`printf 'two\nlines\n\n'`:      "two\nlines\n",
		`printf ' spaces '`:            " spaces ",
		`printf 'a\000\377b'`:          "a\x00\xffb",
		`echo asked >&2; echo x`:       "x",
		`head -c 1048576 /dev/zero`:    strings.Repeat("\x00", maxValue),
		`[ -t 0 ] || read x || echo c`: "c", // nothing on standard input
	} {
		got, err := open(t, script)
		if err != nil || string(got.Reveal()) != want {
			t.Errorf("%s: %d bytes, %v", script, len(got.Reveal()), err)
		}
	}
}

func TestWhatGivesNoValue(t *testing.T) {
	tests := map[string]struct {
		script, want, hint string
		locked             bool
	}{
		"not signed in": {"echo " + canary + "; echo first >&2; printf '\\033[31mnot signed in\\033[0m\\n' >&2; exit 6", "secret nas: sh ended with 6: [31mnot signed in[0m: secret can't be unlocked", "sign in to sh", true},
		"silent":        {"echo " + canary + "; exit 1", "secret nas: sh ended with 1: secret can't be unlocked", "sign in to sh", true},
		"killed":        {"kill -KILL $$", "secret nas: sh was ended by SIGKILL: secret can't be unlocked", "sign in to sh", true},
		"its own 127":   {"not-a-program", "secret nas: sh ended with 127: ", "sign in to sh", true},
		"nothing":       {"exit 0", "secret nas: sh printed nothing", "", false},
		"an empty line": {"echo", "secret nas: sh printed nothing", "", false},
		"too much":      {"head -c 1048577 /dev/zero", "secret nas: sh: it printed more than 1 MiB", "", false},
		"no end":        {"while :; do echo " + canary + "; done", "secret nas: sh: it printed more than 1 MiB", "", false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := open(t, test.script)
			if err == nil || !got.IsZero() {
				t.Fatalf("opened: %v", err)
			}
			if !strings.HasPrefix(err.Error(), test.want) || !strings.HasPrefix(fault.Hint(err), test.hint) || errors.Is(err, secret.ErrLocked) != test.locked {
				t.Errorf("%v (hint %q)", err, fault.Hint(err))
			}
			if text := fmt.Sprintf("%+v", err); strings.Contains(text, canary) || strings.Contains(text, "\n") || strings.Contains(text, "\x1b") {
				t.Errorf("%q shows too much", text)
			}
		})
	}
}

func TestProgramsThatCanNotBeStarted(t *testing.T) {
	dir := t.TempDir()
	notes := filepath.Join(dir, "notes")
	if err := os.WriteFile(notes, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := New(map[string]Program{"a": {Argv: []string{"salvor-no-such-program", canary}}, "b": {Argv: []string{notes, canary}}}, Options{Run: local.Machine{}, Allow: allowIn(dir)})
	for name, want := range map[string]string{"a": "secret a: there is no program salvor-no-such-program on this computer: ", "b": "secret b: notes is not executable: "} {
		_, err := p.Open(t.Context(), name)
		if !errors.Is(err, secret.ErrLocked) || !strings.HasPrefix(err.Error(), want) || fault.Hint(err) == "" || strings.Contains(err.Error(), canary) {
			t.Errorf("%v (hint %q)", err, fault.Hint(err))
		}
	}
	if _, err := p.Open(t.Context(), "c"); !errors.Is(err, secret.ErrNotFound) || p.Has("c") || !p.Has("a") {
		t.Errorf("a name without a program: %v", err)
	}
}

// counter is a runner that prints a value and remembers how often it was asked,
// and whether two ran at once.
type counter struct {
	mu        sync.Mutex
	runs, now int
	together  bool
	fail      error
}

func (c *counter) Run(ctx context.Context, cmd machine.Cmd) (machine.Output, error) {
	c.mu.Lock()
	c.runs, c.now = c.runs+1, c.now+1
	c.together = c.together || c.now > 1
	c.mu.Unlock()
	defer func() { c.mu.Lock(); c.now--; c.mu.Unlock() }()
	if c.fail != nil {
		return machine.Output{}, c.fail
	}
	_, err := cmd.Stdout.Write([]byte(canary))
	return machine.Output{}, err
}

func TestEachProgramRunsOnceAndAlone(t *testing.T) {
	c := &counter{}
	p := New(map[string]Program{"a": {Argv: []string{"a"}}, "b": {Argv: []string{"b"}}}, Options{Run: c, Allow: allowIn("")})
	var all sync.WaitGroup
	for range 20 {
		for _, name := range []string{"a", "b"} {
			all.Go(func() {
				if v, err := p.Open(t.Context(), name); err != nil || string(v.Reveal()) != canary {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	if c.runs != 2 || c.together {
		t.Errorf("%d runs, two at once: %v", c.runs, c.together)
	}
	failing := &counter{fail: &machine.ExitError{Argv: []string{"a"}, Code: 1}}
	p = New(map[string]Program{"a": {Argv: []string{"a"}}}, Options{Run: failing, Allow: allowIn("")})
	for range 2 {
		if _, err := p.Open(t.Context(), "a"); !errors.Is(err, secret.ErrLocked) {
			t.Error(err)
		}
	}
	if failing.runs != 2 {
		t.Errorf("a failure was remembered: %d runs", failing.runs)
	}
}

func TestDeadlineAndCancellationEndTheProgram(t *testing.T) {
	pidFile := filepath.Join(t.TempDir(), "pid")
	script := "echo " + canary + "; echo waiting for you >&2; echo $$ > " + pidFile + "; exec sleep 1000"
	p := New(map[string]Program{"nas": {Argv: []string{"/bin/sh", "-c", script}, Timeout: 200 * time.Millisecond}}, Options{Run: local.Machine{}, Allow: allowIn("")})
	_, err := p.Open(t.Context(), "nas")
	if want := "secret nas: sh did not print a value within 200ms"; !errors.Is(err, secret.ErrLocked) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), canary) || fault.Hint(err) == "" {
		t.Errorf("%v (hint %q)", err, fault.Hint(err))
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Open(gone, "nas"); !errors.Is(err, context.Canceled) || errors.Is(err, secret.ErrLocked) {
		t.Errorf("cancelled: %v", err)
	}
}

// allowIn lets every program run, in a folder.
func allowIn(dir string) func(string, []string) (string, error) {
	return func(string, []string) (string, error) { return dir, nil }
}

// TestS16NobodyToAskMeansNo has no one who allows programs.
func TestS16NobodyToAskMeansNo(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	p := New(map[string]Program{"nas": {Argv: []string{"touch", ran}, Timeout: 20 * time.Second}}, Options{Run: local.Machine{}})
	if _, err := p.Open(t.Context(), "nas"); err == nil || !strings.Contains(err.Error(), "programs are not allowed to run") {
		t.Errorf("Open() = %v", err)
	}
	if _, err := os.Stat(ran); err == nil {
		t.Error("the program ran")
	}
}
