package machinetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/machine"
)

// leftovers checks that Run returns when the program ends, and that a child
// which it left in its process group, with its output open, ends with it.
func leftovers(t *testing.T, m machine.Machine) {
	mark := filepath.Join(t.TempDir(), "left")
	began := time.Now()
	got := run(t, m, machine.Command("sh", "-c", `sleep 600 & echo $! >"$1"; echo done`, "sh", mark))
	if got != "done\n" || time.Since(began) > 30*time.Second {
		t.Errorf("got %q after %v", got, time.Since(began))
	}
	pids := processes(mark)
	if len(pids) != 1 {
		t.Fatalf("%d processes are known, want 1", len(pids))
	}
	await(t, "the child to end", func() bool { return !alive(pids[0]) })
}

func floods(t *testing.T, m machine.Machine) {
	_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"cat", "/dev/zero"}, Timeout: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "MiB") {
		t.Errorf("endless output gives %v", err)
	}
}

func signals(t *testing.T, m machine.Machine) {
	_, err := m.Run(t.Context(), machine.Command("sh", "-c", "kill -s KILL $$"))
	var exit *machine.ExitError
	if !errors.As(err, &exit) || exit.Code != -1 || exit.Signal != "KILL" {
		t.Errorf("got %v", err)
	}
}

// brokenInput checks that a program never takes input that breaks off for all
// of it.
func brokenInput(t *testing.T, m machine.Machine) {
	mark := filepath.Join(t.TempDir(), "complete")
	input := io.MultiReader(strings.NewReader("half"), brokenReader{})
	_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"sh", "-c", `cat >/dev/null; echo $$ >"$1"`, "sh", mark}, Stdin: input})
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	if len(processes(mark)) != 0 {
		t.Error("the program took half an input for the whole")
	}
}

func unwantedInput(t *testing.T, m machine.Machine) {
	r, w := io.Pipe() // one that never ends
	defer w.Close()
	if got := run(t, m, machine.Cmd{Argv: []string{"echo", "hello"}, Stdin: r}); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	big := bytes.NewReader(make([]byte, 4<<20))
	if got := run(t, m, machine.Cmd{Argv: []string{"sh", "-c", "exec <&-; echo hello"}, Stdin: big}); got != "hello\n" {
		t.Errorf("got %q", got)
	}
	blocked := machine.Cmd{Argv: []string{"sleep", "600"}, Stdin: bytes.NewReader(make([]byte, 4<<20)), Timeout: 300 * time.Millisecond}
	if _, err := m.Run(t.Context(), blocked); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a program that reads nothing: %v", err)
	}
}

func terminals(t *testing.T, m machine.Machine) {
	sizes := make(chan [2]int, 1)
	sizes <- [2]int{101, 41}
	in, keyboard := io.Pipe()
	defer keyboard.Close()
	var screen bytes.Buffer
	script := `[ -t 0 ] && [ -t 1 ] || exit 9; echo "$TERM"; until [ "$(stty size)" = "41 101" ]; do sleep 0.05; done; stty size; read -r line; echo "got $line"; exit 3`
	go keyboard.Write([]byte("typed\r")) //nolint:errcheck // the output shows whether it arrived
	_, err := m.Run(t.Context(), machine.Cmd{
		Argv: []string{"sh", "-c", script}, Stdin: in, Stdout: &screen, Timeout: time.Minute,
		TTY: &machine.TTY{Term: "vt100", Width: 80, Height: 24, Resize: sizes},
	})
	var exit *machine.ExitError
	if !errors.As(err, &exit) || exit.Code != 3 {
		t.Errorf("got %v", err)
	}
	for _, want := range []string{"vt100", "41 101", "got typed"} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("the screen shows %q, want %q in it", screen.String(), want)
		}
	}
}
