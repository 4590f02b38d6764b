package ssh

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/sshtest"
)

func TestHostKeysAreVerified(t *testing.T) {
	server, other := sshtest.Start(t), sshtest.Start(t)
	shown := fingerprint(t, server.HostKey)
	for name, c := range map[string]struct {
		pinned []PublicKey
		want   []string
	}{
		"changed key":      {[]PublicKey{PublicKey(other.HostKey)}, []string{"presents " + shown, "the pinned key is " + fingerprint(t, other.HostKey)}},
		"nothing pinned":   {nil, []string{"no key is pinned", "presents " + shown}},
		"kind of key gone": {[]PublicKey{rsaKey}, []string{"no longer has a key of the pinned kind", fingerprint(t, rsaKey)}},
		"no key at all":    {[]PublicKey{"nonsense"}, []string{"presents " + shown, "nonsense"}},
	} {
		o := options(server)
		o.Keys = c.pinned
		_, err := Dial(t.Context(), o)
		if !errors.Is(err, machine.ErrHostKey) || errors.Is(err, machine.ErrUnreachable) || fault.Hint(err) == "" {
			t.Errorf("%s: got %v", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", name, err, want)
			}
		}
	}
}

// rsaKey is of a kind that the test's servers do not have.
const rsaKey = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQCfOG4hAKhJMD+kBHGwFr3KR7uTz7tA34UW4shYzxlzZHWQ3ncZgdT4xXBN1wIcFCh3Ax0ENclBI6ZXHdBhdsHRbVN7gCnBoZNsEkKyHExlG5eNOmw5M9namm+jkzwf5vZbX23xmS/lPF6x6XPqMT/9jFJclyEIzIzYo/2nsGOzDQU+d/Jeko5PKcAqTnWo41xqKHr2Y4bzaYWa8Dq2dO3zJ8FHbe98ZTmO7V/uodiJBURctOOVFFMdtz3qGpXDEmFZ4qiAcD+OpXyK8/RbK5m6YDcjEZmAQzX6MTKWj225T2eqx8TtEaomkKHM9ZUOT4WibmZEEgfUmPtObb4gAnf/"

func fingerprint(t *testing.T, key string) string {
	t.Helper()
	f, err := PublicKey(key).Fingerprint()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnyPinnedKeyOfTheHostWillDo(t *testing.T) {
	server, other := sshtest.Start(t), sshtest.Start(t)
	for _, keys := range [][]PublicKey{
		{PublicKey(server.OtherHostKey)},
		{PublicKey(other.HostKey), PublicKey(server.HostKey)},
	} {
		o := options(server)
		o.Keys = keys
		dial(t, o)
	}
}

func TestTheJumpHostsKeyIsVerified(t *testing.T) {
	server := sshtest.Start(t)
	jump, o := options(server), options(server)
	jump.Keys = []PublicKey{PublicKey(sshtest.Start(t).HostKey)}
	o.Jump = &jump
	if _, err := Dial(t.Context(), o); !errors.Is(err, machine.ErrHostKey) || !strings.Contains(err.Error(), "jump host") {
		t.Errorf("got %v", err)
	}
}

func TestScanShowsTheKeyThatIsPinned(t *testing.T) {
	server := sshtest.Start(t)
	jump, far := options(server), options(server)
	far.Jump = &jump
	for _, o := range []Options{options(server), far} {
		seen, err := Scan(t.Context(), o)
		if err != nil || string(seen.Key) != server.HostKey || seen.Fingerprint != fingerprint(t, server.HostKey) {
			t.Errorf("got %+v, %v", seen, err)
		}
	}
}

func TestWhoCannotBeReached(t *testing.T) {
	server := sshtest.Start(t)
	refused, silent, mute := options(server), options(server), options(server)
	refused.Port = closedPort(t)
	silent.Port, silent.Handshake = silentPort(t), 300*time.Millisecond
	mute.Port = mutePort(t)
	farRefused := refused
	jump := options(server)
	farRefused.Jump = &jump
	for name, o := range map[string]Options{
		"closed port": refused, "closed port behind the jump host": farRefused,
		"a host that never answers": silent, "a host that hangs up": mute,
	} {
		_, err := Dial(t.Context(), o)
		if !errors.Is(err, machine.ErrUnreachable) || !strings.Contains(err.Error(), "root@"+o.address()) {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := Scan(t.Context(), o); !errors.Is(err, machine.ErrUnreachable) {
			t.Errorf("scan of %s: got %v", name, err)
		}
	}
}

// TestSlowHandshake reaches a host that takes the connection at once and is busy
// for longer than a connection may take.
func TestSlowHandshake(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	o.Timeout = 500 * time.Millisecond
	o.Port = slowPort(t, o.address(), 2*o.Timeout)
	dial(t, o)
	if _, err := Scan(t.Context(), o); err != nil {
		t.Error(err)
	}
	o.Handshake = o.Timeout
	if _, err := Dial(t.Context(), o); !errors.Is(err, machine.ErrUnreachable) || !strings.Contains(err.Error(), "connected, and no answer in 500ms") {
		t.Errorf("got %v", err)
	}
}

// slowPort takes connections at once and joins them to the target after a while.
func slowPort(t *testing.T, target string, after time.Duration) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	join := func(near net.Conn) {
		defer near.Close()
		<-time.After(after)
		far, err := net.Dial("tcp", target)
		if err != nil {
			return // nothing waits any more
		}
		go func() {
			defer far.Close()
			io.Copy(far, near)
		}()
		io.Copy(near, far)
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			go join(near)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func TestWhoIsNotLetIn(t *testing.T) {
	server := sshtest.Start(t)
	stranger, noKeys, asked := options(server), options(server), options(server)
	stranger.Auth.Files = []string{server.OtherKey}
	noKeys.Auth.Files = []string{filepath.Join(t.TempDir(), "none")}
	cases := map[string]Options{"wrong user key": stranger, "no key": noKeys}
	if asked.User = server.AskUser; asked.User != "" {
		cases["sudo asks for a password"] = asked
	}
	for name, o := range cases {
		_, err := Dial(t.Context(), o)
		if !errors.Is(err, machine.ErrDenied) || errors.Is(err, machine.ErrUnreachable) || fault.Hint(err) == "" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func closedPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func silentPort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).Port
}

// mutePort belongs to a server that accepts and hangs up.
func mutePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func linked(t *testing.T, keepalive time.Duration) (*Machine, *sshtest.Link) {
	t.Helper()
	server := sshtest.Start(t)
	link := sshtest.NewLink(t, server.Port)
	o := options(server)
	o.Port, o.Keepalive = link.Port, keepalive
	return dial(t, o), link
}

// start runs a command that says its process id and its child's, and returns
// these and how the command will end.
func start(t *testing.T, m *Machine, stdin io.Reader) (pids []string, ended chan error) {
	t.Helper()
	said, w := io.Pipe()
	ended = make(chan error, 1)
	go func() {
		_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"sh", "-c", "trap '' TERM; sleep 900 & echo $$ $!; wait; sleep 900"}, Stdin: stdin, Stdout: w})
		ended <- err
	}()
	line := make([]byte, 64)
	n, err := said.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(line[:n])), ended
}

func gone(pids []string) bool {
	for _, pid := range pids {
		stat, err := os.ReadFile("/proc/" + pid + "/stat")
		if err == nil && !strings.Contains(string(stat), ") Z ") {
			return false
		}
	}
	return true
}

func TestConnectionCutEndsTheCommandOnBothSides(t *testing.T) {
	t.Parallel()
	for name, stdin := range map[string]io.Reader{"no input": nil, "input that nobody reads": strings.NewReader(strings.Repeat("x", 1<<20))} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, link := linked(t, 0)
			pids, ended := start(t, m, stdin)
			link.Cut()
			if err := <-ended; !errors.Is(err, machine.ErrUnreachable) {
				t.Errorf("got %v", err)
			}
			if _, err := m.Run(t.Context(), machine.Command("true")); !errors.Is(err, machine.ErrUnreachable) {
				t.Errorf("after the cut: %v", err)
			}
			await(t, "the far side to end", func() bool { return gone(pids) })
		})
	}
}

func TestSilenceEndsTheCommandOnBothSides(t *testing.T) {
	t.Parallel()
	m, link := linked(t, 200*time.Millisecond)
	pids, ended := start(t, m, nil)
	link.Freeze()
	if err := <-ended; !errors.Is(err, machine.ErrUnreachable) || !strings.Contains(err.Error(), "no answer for 600ms") {
		t.Errorf("got %v", err)
	}
	await(t, "the far side to end", func() bool { return gone(pids) })
}

func TestCancelOnADeadConnectionReturnsBeforeTheKeepalive(t *testing.T) {
	t.Parallel()
	m, link := linked(t, time.Hour)
	link.Freeze()
	began := time.Now()
	_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"true"}, Timeout: 50 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Minute {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestAnIdleConnectionStaysUp(t *testing.T) {
	t.Parallel()
	m, _ := linked(t, 300*time.Millisecond)
	if _, err := m.Run(t.Context(), machine.Command("sleep", "1")); err != nil {
		t.Error(err)
	}
}

// TestCutInputIsNotTakenForAll has a program that acts when its input ends.
func TestCutInputIsNotTakenForAll(t *testing.T) {
	t.Parallel()
	m, link := linked(t, 0)
	mark := filepath.Join(t.TempDir(), "mark")
	in, w := io.Pipe()
	defer w.Close()
	said, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"sh", "-c", `trap '' TERM; echo $$; cat; echo all >"$1"`, "sh", mark}, Stdin: in, Stdout: out})
		ended <- err
	}()
	buf := make([]byte, 64)
	n, err := said.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	go w.Write([]byte("half"))
	if _, err := io.ReadFull(said, make([]byte, 4)); err != nil {
		t.Fatal(err)
	}
	link.Cut()
	<-ended
	await(t, "the program to end", func() bool { return gone(strings.Fields(string(buf[:n]))) })
	if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the program took half an input for all: %v", err)
	}
}

func TestCancelDuringTheHandshake(t *testing.T) {
	server := sshtest.Start(t)
	o := options(server)
	o.Port = silentPort(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("changed my mind"))
	defer cancel()
	if _, err := Dial(ctx, o); err == nil || !strings.Contains(err.Error(), "changed my mind") {
		t.Errorf("got %v", err)
	}
}
