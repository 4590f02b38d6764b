package ssh

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/machine/sshtest"
)

func options(s *sshtest.Server) Options {
	return Options{Name: "test", Address: "127.0.0.1", Port: s.Port, Keys: []PublicKey{PublicKey(s.HostKey)}, Auth: Auth{Files: []string{s.UserKey}}}
}

func dial(t *testing.T, o Options) *Machine {
	t.Helper()
	m, err := Dial(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

func TestConformance(t *testing.T) {
	server := sshtest.Start(t)
	jump, sudo := options(server), options(server)
	sudo.User = server.SudoUser
	viaJump, sudoViaJump := options(server), sudo
	viaJump.Jump, sudoViaJump.Jump = &jump, &sudo
	for name, o := range map[string]Options{
		"root": options(server), "root through a jump host": viaJump,
		"sudo": sudo, "sudo through a jump host": sudoViaJump,
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasPrefix(name, "sudo") && server.SudoUser == "" {
				sshtest.Missing(t, "no users for this test: it needs root, unshare and apt install sudo")
			}
			machinetest.Run(t, func(t *testing.T) machine.Machine { return dial(t, o) })
		})
	}
}

func TestAtMostEightCommandsRunAndTheOthersWait(t *testing.T) {
	m := dial(t, options(sshtest.Start(t)))
	release, w := io.Pipe()
	var all sync.WaitGroup
	for range maxCommands {
		all.Go(func() {
			if _, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"cat"}, Stdin: release}); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, "the slots to fill", func() bool { return len(m.slots) == maxCommands })
	if _, err := m.Run(t.Context(), machine.Cmd{Argv: []string{"true"}, Timeout: 50 * time.Millisecond}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	w.Close()
	all.Wait()
}

func TestNothingIsLeftOnTheHost(t *testing.T) {
	m := dial(t, options(sshtest.Start(t)))
	for _, program := range []string{"cat", "true", "true", "true"} {
		if _, err := m.Run(t.Context(), machine.Cmd{Argv: []string{program}, Stdin: strings.NewReader("x")}); err != nil {
			t.Fatal(err)
		}
	}
	fifo := m.warden.fifo
	await(t, "the pumps' FIFOs to go", func() bool { return len(glob(t, fifo+".*")) == 0 })
	m.Close()
	await(t, "the warden's FIFO to go", func() bool { return len(glob(t, fifo)) == 0 })
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not happen in time", what)
		}
	}
}

func BenchmarkConnectAndRun(b *testing.B) {
	server := sshtest.Start(b)
	for b.Loop() {
		m, err := Dial(context.Background(), options(server))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := m.Run(context.Background(), machine.Command("true")); err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}
