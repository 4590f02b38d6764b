package machinetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/machine"
)

func TestFakeRunsTheLongestPrefix(t *testing.T) {
	f := NewFake()
	f.Say(0, "docker", "docker")
	f.Say(0, "compose", "docker", "compose")
	f.Say(3, "no such unit\n", "systemctl", "status")
	f.Handle(func(_ context.Context, p Process) int {
		if _, err := io.Copy(p.Stdout, p.Stdin); err != nil {
			return 1
		}
		return 0
	}, "cat")
	for want, c := range map[string]machine.Cmd{
		"compose": machine.Command("docker", "compose", "up"),
		"docker":  machine.Command("docker", "ps"),
		"input":   {Argv: []string{"cat"}, Stdin: strings.NewReader("input")},
		"":        machine.Command("cat"),
	} {
		if got := run(t, f, c); got != want {
			t.Errorf("%q says %q, want %q", c.Argv, got, want)
		}
	}
	for code, argv := range map[int][]string{3: {"systemctl", "status", "x"}, 127: {"systemctl"}} {
		_, err := f.Run(t.Context(), machine.Command(argv...))
		var exit *machine.ExitError
		if !errors.As(err, &exit) || exit.Code != code {
			t.Errorf("%q: got %v, want exit %d", argv, err, code)
		}
	}
}

func TestFakeKeepsFilesAndRecordsCalls(t *testing.T) {
	f := NewFake()
	if _, err := f.ReadFile(t.Context(), "/a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file gives %v", err)
	}
	if err := f.WriteFile(t.Context(), "/a", strings.NewReader("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := f.WriteFile(t.Context(), "/a", io.MultiReader(strings.NewReader("new"), brokenReader{}), 0o600); !errors.Is(err, errBroken) {
		t.Errorf("content that broke off gives %v", err)
	}
	want := map[string]File{"/a": {[]byte("old"), 0o600}}
	if diff := cmp.Diff(want, f.Files()); diff != "" {
		t.Error(diff)
	}
	calls := []Call{{"ReadFile", []string{"/a"}}, {"WriteFile", []string{"/a"}}, {"WriteFile", []string{"/a"}}}
	if diff := cmp.Diff(calls, f.Calls()); diff != "" {
		t.Error(diff)
	}
}

func TestFakeDialsWhatIsServed(t *testing.T) {
	f := NewFake()
	f.Serve("unix", "/run/docker.sock", func(c net.Conn) {
		defer c.Close()
		io.WriteString(c, "hello")
	})
	conn, err := f.Dial(t.Context(), "unix", "/run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := f.Dial(t.Context(), "tcp", "127.0.0.1:1"); err == nil {
		t.Error("nothing listens, and no error")
	}
}

func TestFakeIsCutAndMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := NewFake()
		f.Handle(func(ctx context.Context, _ Process) int { <-ctx.Done(); return 0 }, "sleep")
		f.Say(0, "", "true")
		ended := make(chan error, 1)
		go func() {
			_, err := f.Run(t.Context(), machine.Command("sleep"))
			ended <- err
		}()
		synctest.Wait()
		f.Cut()
		if err := <-ended; !errors.Is(err, machine.ErrUnreachable) {
			t.Errorf("under way: %v", err)
		}
		if _, err := f.ReadFile(t.Context(), "/a"); !errors.Is(err, machine.ErrUnreachable) {
			t.Errorf("later: %v", err)
		}
		f.Mend()
		run(t, f, machine.Command("true"))
		f.SetDelay(time.Hour)
		if _, err := f.Run(t.Context(), machine.Cmd{Argv: []string{"true"}, Timeout: time.Minute}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("delayed: %v", err)
		}
	})
}

func TestFakeClosesTwice(t *testing.T) {
	f := NewFake()
	f.Say(0, "", "sleep")
	closes(t, f)
	if _, err := f.Run(t.Context(), machine.Command("true")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestTwentyFakesAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for i := range 20 {
		f := NewFake()
		f.Say(0, fmt.Sprint(i), "hostname")
		for range 10 {
			all.Go(func() {
				if out, err := f.Run(t.Context(), machine.Command("hostname")); err != nil || string(out.Stdout) != fmt.Sprint(i) {
					t.Errorf("host %d: %q, %v", i, out.Stdout, err)
				}
			})
		}
	}
	all.Wait()
}
