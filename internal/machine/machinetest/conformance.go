// Package machinetest holds the suite that every machine.Machine passes, and a
// machine in memory for tests that need many.
package machinetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/machine"
	"salvor/internal/socketdir"
)

// Run runs the suite on a machine that shares this process's files and
// processes, such as machine/local or an sshd on loopback.
func Run(t *testing.T, open func(t *testing.T) machine.Machine) {
	for name, check := range map[string]func(*testing.T, machine.Machine){
		"argv arrives as it is":             arguments,
		"environment and folder":            environment,
		"standard input and large output":   streams,
		"exit codes and the tail of stderr": exits,
		"a deadline ends the command":       timeouts,
		"cancel leaves nothing running":     cancels,
		"twenty commands at once":           concurrent,
		"what a program leaves behind ends": leftovers,
		"too much output ends the command":  floods,
		"a signal is reported":              signals,
		"input that breaks off":             brokenInput,
		"input that is not read":            unwantedInput,
		"a terminal":                        terminals,
		"files are written atomically":      files,
		"a reader sees old or new":          noMixture,
		"a killed write keeps the old file": killedWrite,
		"large files":                       largeFiles,
		"sockets are dialled":               sockets,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			check(t, open(t))
		})
	}
	t.Run("close twice, then nothing works", func(t *testing.T) { closes(t, open(t)) })
}

func run(t *testing.T, m machine.Machine, c machine.Cmd) string {
	t.Helper()
	out, err := m.Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return string(out.Stdout)
}

func arguments(t *testing.T, m machine.Machine) {
	args := []string{"", "a b", `quo"te`, "it's", "new\nline", "$HOME `id` \\", "ünï", "-n", "*", "--"}
	got := run(t, m, machine.Command(append([]string{"printf", "%s\\0"}, args...)...))
	if want := strings.Join(args, "\x00") + "\x00"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func environment(t *testing.T, m machine.Machine) {
	got := run(t, m, machine.Cmd{Argv: []string{"sh", "-c", `printf '%s|%s|%s' "$GREETING" "$LC_ALL" "$PWD"`}, Env: []string{"GREETING=it's me"}, Dir: "/usr/share"})
	if got != "it's me|C|/usr/share" {
		t.Errorf("got %q", got)
	}
}

func streams(t *testing.T, m machine.Machine) {
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	var out bytes.Buffer
	_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"cat"}, Stdin: bytes.NewReader(big), Stdout: &out})
	if err != nil || !bytes.Equal(out.Bytes(), big) {
		t.Errorf("4 MiB through cat: %d bytes came back, %v", out.Len(), err)
	}
}

func exits(t *testing.T, m machine.Machine) {
	_, err := m.Run(t.Context(), machine.Command("sh", "-c", "seq 1 10000 >&2; echo the last line >&2; exit 42"))
	var exit *machine.ExitError
	if !errors.As(err, &exit) || exit.Code != 42 {
		t.Fatalf("got %v", err)
	}
	if !strings.HasSuffix(err.Error(), ": exit 42: the last line") || len(exit.Stderr) > machine.StderrTail {
		t.Errorf("error is %q with %d bytes of stderr", err, len(exit.Stderr))
	}
	if _, err := m.Run(t.Context(), machine.Command("no-such-program-here")); !errors.As(err, &exit) || exit.Code != 127 {
		t.Errorf("a missing program gives %v", err)
	}
}

func timeouts(t *testing.T, m machine.Machine) {
	began := time.Now()
	_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"sleep", "60"}, Timeout: 200 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 30*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func cancels(t *testing.T, m machine.Machine) {
	mark := filepath.Join(t.TempDir(), "alive")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		script := `trap '' HUP; sleep 777 & echo $! >"$1.child"; echo $$ >"$1"; sleep 778`
		_, err := m.Run(ctx, machine.Command("sh", "-c", script, "sh", mark))
		ended <- err
	}()
	await(t, "the command to start", func() bool { return len(processes(mark)) == 2 })
	pids := processes(mark)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	for _, pid := range pids {
		await(t, "process "+pid+" to end", func() bool { return !alive(pid) })
	}
}

func processes(mark string) []string {
	var pids []string
	for _, file := range []string{mark, mark + ".child"} {
		content, err := os.ReadFile(file)
		if pid := strings.TrimSpace(string(content)); err == nil && pid != "" {
			pids = append(pids, pid)
		}
	}
	return pids
}

func alive(pid string) bool {
	status, err := os.ReadFile("/proc/" + pid + "/stat")
	return err == nil && !strings.Contains(string(status), ") Z ")
}

func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen in time", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func concurrent(t *testing.T, m machine.Machine) {
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			out, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"cat"}, Stdin: strings.NewReader(fmt.Sprint(i))})
			if err != nil || string(out.Stdout) != fmt.Sprint(i) {
				t.Errorf("command %d: %q, %v", i, out.Stdout, err)
			}
		})
	}
	all.Wait()
}

func files(t *testing.T, m machine.Machine) {
	dir := t.TempDir()
	name := filepath.Join(dir, "it's a file")
	for _, content := range []string{"one", "", strings.Repeat("x", 3<<20)} {
		if err := m.WriteFile(t.Context(), name, strings.NewReader(content), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := m.ReadFile(t.Context(), name)
		if err != nil || string(got) != content {
			t.Fatalf("%d bytes came back, %v; want %d", len(got), err, len(content))
		}
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode is %v, %v; want 0640", info.Mode(), err)
	}
	if _, err := m.ReadFile(t.Context(), filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if err := m.WriteFile(t.Context(), filepath.Join(dir, "no/such/folder"), strings.NewReader("x"), 0o644); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder gives %v", err)
	}
	if err := m.WriteFile(t.Context(), dir, strings.NewReader("x"), 0o644); err == nil {
		t.Error("a folder was replaced by a file")
	}
	cutShort(t, m, dir)
}

// cutShort checks that content which breaks off leaves the old file alone.
func cutShort(t *testing.T, m machine.Machine, dir string) {
	t.Helper()
	name := filepath.Join(dir, "kept")
	if err := m.WriteFile(t.Context(), name, strings.NewReader("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(strings.NewReader("new, but"), brokenReader{})
	if err := m.WriteFile(t.Context(), name, broken, 0o644); err == nil {
		t.Error("interrupted content is not an error")
	}
	got, err := os.ReadFile(name)
	if err != nil || string(got) != "old" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d files in the folder, %v; want the 2 that were written", len(entries), err)
	}
}

func sockets(t *testing.T, m machine.Machine) {
	dir, err := socketdir.Make("dialled")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	unix := filepath.Join(dir, "s")
	for network, addr := range map[string]string{"unix": unix, "tcp": "127.0.0.1:0"} {
		l, err := new(net.ListenConfig).Listen(t.Context(), network, addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go echo(l)
		conn, err := m.Dial(t.Context(), network, l.Addr().String())
		if err != nil {
			t.Errorf("dial %s: %v", network, err)
			continue
		}
		answer := make([]byte, 4)
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ping" {
			t.Errorf("%s answered %q, %v", network, answer, err)
		}
		conn.Close()
	}
}

func echo(l net.Listener) {
	conn, err := l.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	io.Copy(conn, conn) //nolint:errcheck // the test reads what came back
}

func closes(t *testing.T, m machine.Machine) {
	running := make(chan error, 1)
	go func() {
		_, err := m.Run(t.Context(), machine.Command("sleep", "1"))
		running <- err
	}()
	for range 2 {
		if err := m.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	// a machine without a connection continues
	if err := <-running; err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("what ran during close: %v", err)
	}
	if _, err := m.Run(t.Context(), machine.Command("true")); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("run after close: %v", err)
	}
	if _, err := m.ReadFile(t.Context(), "/etc/passwd"); err != nil && !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}
