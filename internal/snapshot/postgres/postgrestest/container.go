// Package postgrestest replaces a container with a Postgres server in tests: the
// server and the programs of this machine, on a folder of the test's.
package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"salvor/internal/snapshot/method"
	"salvor/internal/snapshot/method/methodtest"
)

// Bin is the folder of this machine's newest Postgres. Without one, or without
// root, the test is skipped, unless the lab is required.
func Bin(t testing.TB) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if _, err := user.Lookup("postgres"); err != nil || len(found) == 0 || os.Getuid() != 0 {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("Postgres and root are required")
		}
		t.Skip("no Postgres server is installed, or not root")
	}
	return filepath.Dir(found[len(found)-1])
}

// A Container runs commands as the user postgres, with Env alone.
type Container struct {
	Env  []string
	Data string // the server's data folder, as commands name it
	// Superuser and Password are those of Script.
	Superuser, Password string
	mountAt             string        // is replaced in arguments
	folder              string        // by this: a short name of a folder
	ended               chan struct{} // closed when the server has ended; nil without one
	uid                 int
	bin                 string
}

// Options say how a server is made.
type Options struct {
	Data     string   // data folder; made when missing, with its parents
	Initdb   []string // more arguments
	Settings []string // "name=value"
	Env      []string // of the container
	Made     *Made    // nil for none
	Password string   // of the superuser, where the socket wants it
}

// Run makes a server like a database image does and starts it; it ends with the
// test.
func Run(t testing.TB, o Options) *Container {
	t.Helper()
	c := &Container{bin: Bin(t), Data: o.Data, Superuser: "postgres", Password: o.Password}
	for i, arg := range o.Initdb {
		if arg == "-U" {
			c.Superuser = o.Initdb[i+1]
		}
	}
	if err := c.prepare(o.Data); err != nil {
		t.Fatal(err)
	}
	if len(o.Initdb) == 0 {
		o.Initdb = []string{"-A", "trust", "-U", "postgres"}
	}
	c.Env = append([]string{"PATH=" + c.bin + ":/usr/bin:/bin", "LC_ALL=C.UTF-8", "PGDATA=" + o.Data}, o.Env...)
	if err := c.initialize(t.Context(), o.Initdb, o.Made); err != nil {
		t.Fatal(err)
	}
	c.Start(t, o.Settings...)
	return c
}

// Made are data folders that initdb has made, by its arguments: tests with many
// servers copy them.
type Made struct {
	mu      sync.Mutex
	dir     string
	folders map[string]string
}

// NewMade returns a Made whose folders go with the test.
func NewMade(t testing.TB) *Made {
	return &Made{dir: t.TempDir(), folders: map[string]string{}}
}

// initialize makes the data folder.
func (c *Container) initialize(ctx context.Context, arguments []string, made *Made) error {
	initdb := method.Command{Argv: append([]string{"initdb", "-N", "-D", c.Data}, arguments...)}
	if made == nil {
		return c.Exec(ctx, initdb)
	}
	made.mu.Lock()
	defer made.mu.Unlock()
	key := strings.Join(arguments, "\x00")
	if kept := made.folders[key]; kept != "" {
		return exec.CommandContext(ctx, "cp", "-a", "--", kept+"/.", c.Data).Run()
	}
	if err := c.Exec(ctx, initdb); err != nil {
		return err
	}
	kept := filepath.Join(made.dir, strconv.Itoa(len(made.folders)))
	made.folders[key] = kept
	return exec.CommandContext(ctx, "cp", "-a", "--", c.Data, kept).Run()
}

// Start starts the server.
func (c *Container) Start(t testing.TB, settings ...string) {
	t.Helper()
	sockets, err := os.MkdirTemp("/tmp", "pg-") // socket paths are short
	if err == nil {
		err = os.Chown(sockets, c.uid, c.uid)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(sockets) })
	argv := []string{"postgres", "-D", c.Data, "-c", "listen_addresses=", "-c", "unix_socket_directories=" + sockets, "-c", "fsync=off"}
	for _, s := range settings {
		argv = append(argv, "-c", s)
	}
	if err := c.serve(t.Context(), argv); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	c.wait(t, sockets)
}

func (c *Container) wait(t testing.TB, host string) {
	t.Helper()
	for {
		files, _ := filepath.Glob(filepath.Join(host, ".s.PGSQL.*"))
		port := ""
		for _, f := range files {
			port = strings.TrimPrefix(strings.TrimSuffix(filepath.Base(f), ".lock"), ".s.PGSQL.")
		}
		if port != "" && c.Exec(t.Context(), method.Command{Argv: []string{"pg_isready", "-q", "-h", host, "-p", port}}) == nil {
			return
		}
		if t.Context().Err() != nil || c.over() {
			log, _ := os.ReadFile(c.Data + ".log")
			t.Fatalf("the server does not start: %s", log)
		}
	}
}

func (c *Container) lookup() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	c.uid, err = strconv.Atoi(u.Uid)
	return err
}

// prepare makes a folder that the user postgres owns and reaches.
func (c *Container) prepare(dir string) error {
	if err := c.lookup(); err != nil {
		return err
	}
	if err := errors.Join(os.MkdirAll(dir, 0o700), os.Chown(dir, c.uid, c.uid)); err != nil {
		return err
	}
	return reachable(dir)
}

func reachable(dir string) error {
	for at := filepath.Dir(dir); at != "/"; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		if err := os.Chmod(at, info.Mode()|0o011); err != nil {
			return err
		}
	}
	return nil
}

func (c *Container) command(ctx context.Context, argv []string) *exec.Cmd {
	argv = append([]string{}, argv...)
	for i := range argv {
		if c.mountAt != "" {
			argv[i] = strings.ReplaceAll(argv[i], c.mountAt, c.folder)
		}
	}
	if path := filepath.Join(c.bin, argv[0]); !filepath.IsAbs(argv[0]) {
		if _, err := os.Stat(path); err == nil {
			argv[0] = path
		}
	}
	p := exec.CommandContext(ctx, argv[0], argv[1:]...)
	p.Dir, p.Env = "/", c.Env
	p.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.uid)}, Setpgid: true}
	return p
}

func (c *Container) serve(ctx context.Context, argv []string) error {
	log, err := os.Create(c.Data + ".log")
	if err != nil {
		return err
	}
	server := c.command(context.WithoutCancel(ctx), argv)
	server.Stdout, server.Stderr = log, log
	if err := errors.Join(server.Start(), log.Close()); err != nil {
		return err
	}
	ended := make(chan struct{})
	c.ended = ended
	go func() {
		_ = server.Wait() // why it ended is in its log
		close(ended)
	}()
	return nil
}

func (c *Container) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// Exec implements method.Runner.
func (c *Container) Exec(ctx context.Context, cmd method.Command) error {
	p := c.command(ctx, cmd.Argv)
	var stderr bytes.Buffer
	p.Stderr = &stderr
	if err := methodtest.Run(p, cmd.Stdin, cmd.Stdout); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Argv[0], err, stderr.String())
	}
	return nil
}

// Stop implements method.Running.
func (c *Container) Stop(ctx context.Context) error {
	if c.ended == nil {
		return nil
	}
	data := c.Data
	if c.mountAt != "" {
		data = strings.ReplaceAll(data, c.mountAt, c.folder)
	}
	c.ended = nil
	return c.Exec(ctx, method.Command{Argv: []string{"pg_ctl", "-D", data, "-w", "-m", "fast", "stop"}})
}

// Script runs a script for psql as the server's superuser and returns what it
// prints.
func (c *Container) Script(t testing.TB, database, script string) string {
	t.Helper()
	var out bytes.Buffer
	if err := c.program(t, database, strings.NewReader(script), &out, "psql", "-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1"); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Program runs a program of Postgres on a database as the server's superuser.
func (c *Container) Program(t testing.TB, database string, stdout io.Writer, argv ...string) {
	t.Helper()
	if err := c.program(t, database, nil, stdout, argv...); err != nil {
		t.Fatal(err)
	}
}

// program finds socket and superuser without the code under test.
func (c *Container) program(t testing.TB, database string, stdin io.Reader, stdout io.Writer, argv ...string) error {
	t.Helper()
	pid, err := os.ReadFile(filepath.Join(c.Data, "postmaster.pid"))
	if err != nil {
		return err
	}
	lines := strings.Split(string(pid), "\n")
	p := c.command(t.Context(), argv)
	p.Env = append(p.Env, "PGHOST="+lines[4], "PGPORT="+lines[3], "PGUSER="+c.Superuser, "PGPASSWORD="+c.Password, "PGOPTIONS=-c statement_timeout=0", "PGDATABASE="+database)
	var stderr bytes.Buffer
	p.Stdin, p.Stdout, p.Stderr = stdin, stdout, &stderr
	if err := p.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0], err, stderr.String())
	}
	return nil
}

// Starter starts servers for loads.
type Starter struct {
	T       testing.TB
	Volume  method.Volume // where the server runs
	Started []method.Start
	Last    *Container
}

// Start implements method.Starter.
func (b *Starter) Start(ctx context.Context, s method.Start) (method.Running, error) {
	b.Started = append(b.Started, s)
	short, err := os.MkdirTemp("/tmp", "pg-")
	if err != nil {
		return nil, err
	}
	b.T.Cleanup(func() { _ = os.RemoveAll(short) })
	c := &Container{bin: Bin(b.T), mountAt: s.MountAt, folder: filepath.Join(short, "v"), Data: filepath.Join(short, "server")}
	c.Env = []string{"PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	if err := errors.Join(c.lookup(), os.Symlink(b.Volume.Path, c.folder), os.Chmod(short, 0o755), reachable(b.Volume.Path)); err != nil {
		return nil, err
	}
	if err := c.serve(ctx, s.Argv); err != nil {
		return nil, err
	}
	b.Last = c
	for c.Exec(ctx, method.Command{Argv: s.Healthy}) != nil {
		if ctx.Err() != nil || c.over() {
			log, _ := os.ReadFile(c.Data + ".log")
			c.ended = nil
			return c, fmt.Errorf("the server ended: %s", log)
		}
	}
	c.Data = strings.TrimSuffix(s.Healthy[3], "/")
	return c, nil
}
