package benches

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/secret"
	"salvor/internal/storage"
)

// An sftp is a server on loopback, Debian's rclone, with a folder of this machine. Both
// contenders of a bench log in to it with the same key.
type sftp struct {
	top                   string // a folder for the bench, which has all others
	dir, port, key, hosts string // the folder served, and files: the private key, and known hosts
	remote                storage.Remote
	cmd                   *exec.Cmd
}

// serveSFTP makes a folder for a bench and starts the server with an empty one in it. Close it
// when done: that removes them.
func serveSFTP(ctx context.Context) (_ *sftp, err error) {
	dir, err := os.MkdirTemp("/var/tmp", "salvor-bench-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(dir))
		}
	}()
	s := &sftp{top: dir, dir: filepath.Join(dir, "remote"), key: filepath.Join(dir, "key"), hosts: filepath.Join(dir, "known_hosts")}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	for _, key := range []string{s.key, filepath.Join(dir, "host-key")} {
		if err := run(exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", key)); err != nil {
			return nil, err
		}
	}
	free, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	_, s.port, err = net.SplitHostPort(free.Addr().String())
	private, perr := os.ReadFile(s.key)
	host, herr := os.ReadFile(filepath.Join(dir, "host-key.pub"))
	if err := errors.Join(err, perr, herr, free.Close(), os.WriteFile(s.hosts, []byte("[127.0.0.1]:"+s.port+" "+string(host)), 0o600)); err != nil {
		return nil, err
	}
	s.remote = storage.Remote{Type: "sftp", Options: map[string]secret.Value{}}
	for option, value := range map[string]string{"host": "127.0.0.1", "port": s.port, "user": "bench", "key_pem": string(private), "host_keys": strings.Join(strings.Fields(string(host))[:2], " ")} {
		s.remote.Options[option] = secret.NewString(value)
	}
	s.cmd = exec.CommandContext(ctx, "rclone", "serve", "sftp", s.dir, "--addr", "127.0.0.1:"+s.port, "--user", "bench",
		"--authorized-keys", s.key+".pub", "--key", filepath.Join(dir, "host-key"), "--dir-cache-time", "1s", "--vfs-cache-mode", "off")
	s.cmd.Env = append(os.Environ(), "HOME="+dir)
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	answers := func() bool {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:"+s.port)
		return err == nil && c.Close() == nil
	}
	if err := until(ctx, 20*time.Second, "the SFTP server answers", answers); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *sftp) close() error {
	err := s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it was killed
	return errors.Join(err, os.RemoveAll(s.top))
}

// client writes a program that is OpenSSH's client for the server, and returns its path. The server
// does not say how a session ended, which restic takes for a failure.
func (s *sftp) client() (string, error) {
	path := s.key + "-client"
	script := fmt.Sprintf("#!/bin/sh\nssh -p %s -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s bench@127.0.0.1 -s sftp\nexit 0\n", s.port, s.key, s.hosts)
	return path, os.WriteFile(path, []byte(script), 0o700)
}

// run runs a program; where it fails the error has the end of what it printed.
func run(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, tail(string(out), 2000))
	}
	return nil
}

// until waits for a condition, which what names.
func until(ctx context.Context, within time.Duration, what string, met func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for !met() {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %s: %w", what, within, context.Cause(ctx))
		}
	}
	return nil
}

// plant makes count files of size bytes on average, a hundred in a folder, whose content does not
// compress and is the same in each run.
func plant(dir string, count, size int) error {
	random := rand.NewChaCha8([32]byte{1})
	sizes := rand.New(rand.NewPCG(1, 2))
	buffer := make([]byte, 2*size)
	for n := range count {
		sub := filepath.Join(dir, fmt.Sprint(n/100))
		if n%100 == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return err
			}
		}
		content := buffer[:1+sizes.IntN(2*size-1)]
		_, _ = random.Read(content) // never fails
		if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(n)), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
