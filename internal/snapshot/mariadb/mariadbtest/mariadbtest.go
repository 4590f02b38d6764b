// Package mariadbtest replaces a container with a MariaDB server in tests: the server and
// the programs of this machine, in namespaces of their own, on a folder of the test's.
package mariadbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/method/methodtest"
)

// MountAt is where a Container has its volume.
const MountAt = "/var/lib/mysql"

// uid is the server's user and group.
const uid = 27

// Require skips the test without MariaDB or root, unless the lab is required.
func Require(t testing.TB) {
	t.Helper()
	_, err := exec.LookPath("mariadb-install-db")
	if err == nil && os.Getuid() == 0 {
		return
	}
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal("MariaDB and root are required")
	}
	t.Skip("no MariaDB server is installed, or not root")
}

// A Container is a server in its own process and mount namespace, in which commands run
// as root, with Env alone.
type Container struct {
	Env      []string
	Password string // of root, for Script
	volume   string
	settings []string
	server   *exec.Cmd
	ended    chan struct{} // closed when the server has ended
	log      string
}

// Options say how a server is made.
type Options struct {
	Volume   string   // is made when missing
	Settings []string // of the server
	Env      []string // of the container
	Made     *Made    // nil for none
}

// Dir is a folder in memory, which goes with the test: servers wait for each write to a
// disk.
func Dir(t testing.TB) string {
	t.Helper()
	Require(t)
	dir := t.TempDir()
	if err := unix.Mount("salvor-test", dir, "tmpfs", 0, "size=2g,mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Made is a data folder that tests with many servers copy.
type Made struct {
	mu  sync.Mutex
	dir string
}

// NewMade returns a Made whose folder goes with the test.
func NewMade(t testing.TB) *Made { return &Made{dir: filepath.Join(Dir(t), "made")} }

// Run makes a server like a database image does and starts it; it ends with the test.
func Run(t testing.TB, o Options) *Container {
	t.Helper()
	Require(t)
	c := &Container{volume: o.Volume, settings: o.Settings, log: o.Volume + ".log", Env: append([]string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}, o.Env...)}
	if err := c.install(t.Context(), o.Made); err != nil {
		t.Fatal(err)
	}
	c.Start(t)
	return c
}

func (c *Container) install(ctx context.Context, made *Made) error {
	if made == nil {
		made = &Made{dir: c.volume}
	}
	made.mu.Lock()
	defer made.mu.Unlock()
	if _, err := os.Stat(filepath.Join(made.dir, "mysql")); errors.Is(err, os.ErrNotExist) {
		if err := errors.Join(os.MkdirAll(made.dir, 0o755), os.Chown(made.dir, uid, uid)); err != nil {
			return err
		}
		argv := []string{"mariadb-install-db", "--no-defaults", "--datadir=" + MountAt, "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync"}
		if out, err := c.command(ctx, made.dir, MountAt, strconv.Itoa(uid), argv).CombinedOutput(); err != nil {
			return fmt.Errorf("install: %w: %s", err, out)
		}
	}
	if made.dir == c.volume {
		return nil
	}
	return exec.CommandContext(ctx, "cp", "-a", "--sparse=always", "--", made.dir, c.volume).Run()
}

// Start starts the server on its volume.
func (c *Container) Start(t testing.TB) {
	t.Helper()
	argv := append([]string{"mariadbd", "--no-defaults", "--datadir=" + MountAt, "--socket=/run/mysqld/mysqld.sock", "--skip-networking", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync"}, c.settings...)
	if err := c.serve(t.Context(), MountAt, strconv.Itoa(uid), argv); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := c.wait(t.Context(), []string{"mariadb-admin", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root", "ping"}); err != nil {
		t.Fatal(err)
	}
}

// inside makes the container's mounts and runs its program. A server that starts removes all
// temporary tables from its TMPDIR, so each has one of its own.
const inside = `set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs tmpfs /var/lib
mkdir -p "$2"
mount --bind "$1" "$2"
mount -t tmpfs tmpfs /run
mkdir -m 1777 /run/mysqld /run/tmp
export TMPDIR=/run/tmp
user=$3
shift 3
exec setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups -- "$@"`

func (c *Container) command(ctx context.Context, volume, mountAt, user string, argv []string) *exec.Cmd {
	if !strings.Contains(user, ":") {
		user += ":" + user
	}
	p := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", inside, "sh", volume, mountAt, user}, argv...)...)
	p.Dir, p.Env = "/", []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Setpgid: true}
	return p
}

func (c *Container) serve(ctx context.Context, mountAt, user string, argv []string) error {
	log, err := os.Create(c.log)
	if err != nil {
		return err
	}
	c.server = c.command(context.WithoutCancel(ctx), c.volume, mountAt, user, argv)
	c.server.Stdout, c.server.Stderr = log, log
	if err := errors.Join(c.server.Start(), log.Close()); err != nil {
		return err
	}
	ended, server := make(chan struct{}), c.server
	c.ended = ended
	go func() {
		_ = server.Wait() // why it ended is in its log
		close(ended)
	}()
	return nil
}

// wait waits until a command succeeds in the container.
func (c *Container) wait(ctx context.Context, healthy []string) error {
	for c.Exec(ctx, method.Command{Argv: healthy}) != nil {
		select {
		case <-c.ended:
			log, _ := os.ReadFile(c.log)
			return fmt.Errorf("the server ended: %s", log)
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
	}
	return nil
}

// Exec implements method.Runner.
func (c *Container) Exec(ctx context.Context, cmd method.Command) error {
	argv := []string{"--target", strconv.Itoa(c.server.Process.Pid), "--mount", "--pid", "--"}
	if cmd.User != "" {
		owner, group, _ := strings.Cut(cmd.User, ":")
		argv = append(argv, "setpriv", "--reuid="+owner, "--regid="+group, "--clear-groups", "--")
	}
	p := exec.CommandContext(ctx, "/usr/bin/nsenter", append(argv, cmd.Argv...)...)
	var stderr bytes.Buffer
	p.Env, p.Stderr, p.WaitDelay = c.Env, &stderr, 5*time.Second
	if err := methodtest.Run(p, cmd.Stdin, cmd.Stdout); err != nil {
		select {
		case <-c.ended:
			log, _ := os.ReadFile(c.log)
			err = fmt.Errorf("%w: the server has ended: %s", err, log)
		default:
		}
		return fmt.Errorf("%s: %w: %s", cmd.Argv[0], err, stderr.String())
	}
	return nil
}

// Stop implements method.Running.
func (c *Container) Stop(ctx context.Context) error {
	if c.ended == nil {
		return nil
	}
	_ = c.server.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-c.ended:
		c.ended = nil
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), c.server.Process.Kill())
	}
}

// Script runs statements as root and returns what they print.
func (c *Container) Script(t testing.TB, statements string) string {
	t.Helper()
	var out bytes.Buffer
	argv := []string{"env", "MYSQL_PWD=" + c.Password, "mariadb", "--no-defaults", "--socket=/run/mysqld/mysqld.sock", "--user=root", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"}
	if err := c.Exec(t.Context(), method.Command{Argv: argv, Stdin: method.Ended(strings.NewReader(statements)), Stdout: &out}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Starter starts servers for loads.
type Starter struct {
	Volume  string // where the server runs
	Started []method.Start
}

// Start implements method.Starter.
func (s *Starter) Start(ctx context.Context, start method.Start) (method.Running, error) {
	s.Started = append(s.Started, start)
	c := &Container{volume: s.Volume, log: s.Volume + ".load.log", Env: []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}}
	if err := c.serve(ctx, start.MountAt, start.User, start.Argv); err != nil {
		return nil, err
	}
	return c, c.wait(ctx, start.Healthy)
}
