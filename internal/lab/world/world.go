// Package world is a whole fleet in the lab: a Git host, a registry, a remote, hosts,
// and an operator with a control repository who types salvor commands. Scenarios,
// benches and the demo use it.
package world

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sync/errgroup"

	"salvor/internal/fleet"
	"salvor/internal/lab"
	"salvor/internal/lab/faultproxy"
)

// World is a fleet called home and its surroundings.
type World struct {
	Lab      *lab.Lab
	Git      *lab.GitServer
	Registry *lab.Registry
	Remote   *lab.Remote
	Faults   *faultproxy.Proxy // between everybody and the remote, where the options ask for it
	Dir      string            // the operator's control repository
	Log      io.Writer         // where the operator's commands and what they print go; nil for nowhere

	webdav  string // the remote's URL, as everybody uses it
	known   string // the Git host's line for known_hosts
	options Options
	salvor  string // the program under test
	home    string // the operator's home
	bare    bool   // there is no clone and no key yet
}

const (
	passphrase = "correct horse battery staple"
	gitConfig  = "[user]\n\tname = Olga Operator\n\temail = olga@example.net\n[init]\n\tdefaultBranch = main\n"
)

// Options say which surroundings a fleet gets.
type Options struct {
	SFTP  bool       // the remote speaks SFTP instead of WebDAV
	Login *lab.Login // the registry asks for it
	Log   io.Writer  // where the operator's commands and what they print go; nil for nowhere

	Blank  bool // the operator has a computer and keys, and has not made the fleet yet
	Faults bool // the remote is reached through World.Faults

	Drive   *lab.Drive // the operator finds it, as hosts do; nil for none
	Environ []string   // more of the operator's environment
}

// New starts the surroundings and has the operator run `salvor init`. Git host,
// registry and remote are machines of their own: none dies with a host.
func New(ctx context.Context, l *lab.Lab, o Options) (*World, error) {
	w := &World{Lab: l, Log: o.Log, options: o, home: filepath.Join(l.Folder(), "home"), Dir: filepath.Join(l.Folder(), "home", "fleet")}
	var err error
	if w.salvor, err = program(ctx); err != nil {
		return nil, err
	}
	all, within := errgroup.WithContext(ctx)
	all.Go(func() (err error) { w.Git, err = l.Git(within); return err })
	all.Go(func() (err error) { w.Registry, err = l.Registry(within, "registry", o.Login); return err })
	all.Go(func() (err error) { w.Remote, err = l.Remote(within); return err })
	if err := all.Wait(); err != nil {
		return nil, err
	}
	w.webdav = w.Remote.WebDAV()
	if o.Faults {
		if err := w.faulty(ctx); err != nil {
			return nil, err
		}
	}
	if o.Blank {
		w.bare = true
		return w, w.furnish()
	}
	return w, w.begin(ctx)
}

// Root is the folder of the project that is worked in.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}

// program finds the salvor that `make build` made.
func program(ctx context.Context) (string, error) {
	root, err := Root(ctx)
	if err != nil {
		return "", err
	}
	file := filepath.Join(root, "bin", "salvor")
	if _, err := os.Stat(file); err != nil {
		return "", fmt.Errorf("%w; run make build first", err)
	}
	return file, nil
}

// begin makes the operator's home and the control repository with its remotes.
func (w *World) begin(ctx context.Context) error {
	if err := os.MkdirAll(w.home, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.home, "passphrase"), []byte(passphrase+"\n"), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.home, ".gitconfig"), []byte(gitConfig), 0o600); err != nil {
		return err
	}
	if err := w.pinGit(ctx); err != nil {
		return err
	}
	if _, err := w.command(ctx, w.home, nil, w.salvor, "init", w.Dir, "--name", "home", "--passphrase-file", filepath.Join(w.home, "passphrase")); err != nil {
		return err
	}
	if err := os.RemoveAll(filepath.Join(w.Dir, "stacks", "hello")); err != nil {
		return err
	}
	if _, err := w.git(ctx, "remote", "add", "origin", w.Git.URL()); err != nil {
		return err
	}
	if _, err := w.Salvor(ctx, strings.NewReader(w.Remote.Password), "secret", "set", "nas_password"); err != nil {
		return err
	}
	return w.declareRemote(ctx)
}

// pinGit writes the Git host's key where the operator's ssh looks.
func (w *World) pinGit(ctx context.Context) error {
	key, err := w.Git.HostKey(ctx)
	if err != nil {
		return err
	}
	at, err := url.Parse(w.Git.URL())
	if err != nil {
		return err
	}
	w.known = at.Hostname() + " " + strings.TrimSpace(key) + "\n"
	return os.WriteFile(w.sshKnownHosts(), []byte(w.known), 0o600)
}

func (w *World) declareRemote(ctx context.Context) error {
	content, err := os.ReadFile(filepath.Join(w.Dir, "fleet.yaml"))
	if err != nil {
		return err
	}
	nas, err := w.nas(ctx)
	if err != nil {
		return err
	}
	remote := fmt.Sprintf("remotes:\n  nas: {%s, pass: \"secret:nas_password\"}\ndata:\n  snapshots:\n    - {name: offsite, remote: nas, path: salvor/snapshots, every: 15m, keep: {last: 8, daily: 14}}\n", nas)
	edited := strings.Replace(string(content), "remotes: {}\n", remote, 1)
	if edited == string(content) {
		return errors.New("fleet.yaml as init writes it has no `remotes: {}` line")
	}
	if err := w.Write("fleet.yaml", edited); err != nil {
		return err
	}
	return w.Commit(ctx, "a remote and where snapshots go")
}

// nas returns how fleet.yaml reaches the remote.
func (w *World) nas(ctx context.Context) (string, error) {
	if !w.options.SFTP {
		return fmt.Sprintf("type: webdav, url: %q, plain_http: true, vendor: other, user: %s", w.webdav, w.Remote.User), nil
	}
	key, err := w.Remote.HostKey(ctx)
	if err != nil {
		return "", err
	}
	fields := strings.Fields(key) // without its comment
	key = strings.Join(fields[:2], " ")
	at := w.Remote.SFTP()
	return fmt.Sprintf("type: sftp, host: %s, port: %d, user: %s, host_keys: %q", at.Addr(), at.Port(), w.Remote.User, key), nil
}

func (w *World) sshKnownHosts() string { return filepath.Join(w.home, "known_hosts") }

// Write puts a file into the operator's working tree.
func (w *World) Write(name, content string) error {
	path := filepath.Join(w.Dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}

// Read returns a file of the operator's working tree.
func (w *World) Read(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(w.Dir, filepath.FromSlash(name)))
	return string(content), err
}

// Commit commits everything in the working tree.
func (w *World) Commit(ctx context.Context, message string) error {
	if _, err := w.git(ctx, "add", "-A"); err != nil {
		return err
	}
	_, err := w.git(ctx, "commit", "-q", "-m", message)
	return err
}

func (w *World) git(ctx context.Context, args ...string) (string, error) {
	return w.command(ctx, w.Dir, nil, "git", args...)
}

// Salvor runs a salvor command as the operator, who confirms what is asked, and
// returns what it printed to standard output. The error holds the end of what
// it said.
func (w *World) Salvor(ctx context.Context, in io.Reader, args ...string) (string, error) {
	dir := w.Dir
	if _, err := os.Stat(dir); err != nil {
		dir = w.home // not cloned yet
	}
	return w.command(ctx, dir, in, w.salvor, append(w.unattended(), args...)...)
}

// Command returns the salvor command as an exec.Cmd, for callers that kill it.
func (w *World) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.salvor, append(w.unattended(), args...)...)
	cmd.Dir, cmd.Env = w.Dir, w.environ()
	return cmd
}

// unattended are the flags that replace a person at a terminal.
func (w *World) unattended() []string {
	if w.bare {
		return []string{"--yes", "--allow-remote", "nas"}
	}
	return []string{"--yes", "--allow-remote", "nas", "--passphrase-file", filepath.Join(w.home, "passphrase"), "--ssh-key", w.Lab.Key()}
}

func (w *World) environ() []string {
	ssh := fmt.Sprintf("ssh -i %s -o IdentitiesOnly=yes -o UserKnownHostsFile=%s -o StrictHostKeyChecking=yes -o ConnectTimeout=10", w.Lab.Key(), w.sshKnownHosts())
	env := []string{"HOME=" + w.home, "PATH=" + filepath.Dir(w.salvor) + ":" + os.Getenv("PATH"), "GIT_SSH_COMMAND=" + ssh, "TERM=" + os.Getenv("TERM"), "NO_COLOR=" + os.Getenv("NO_COLOR")}
	env = append(env, w.options.Environ...)
	if w.options.Drive != nil {
		env = append(env, w.options.Drive.Environ()...)
	}
	return env
}

// Person is the environment of the operator as a person who types, with the folder tools
// first in PATH: salvor asks, and needs no passphrase.
func (w *World) Person(tools string) []string {
	return append(w.environ(),
		"PATH="+tools+":"+filepath.Dir(w.salvor)+":"+os.Getenv("PATH"), "LANG="+os.Getenv("LANG"),
		"SALVOR_PASSPHRASE_FILE="+filepath.Join(w.home, "passphrase"), "SALVOR_SSH_KEY="+w.Lab.Key())
}

func (w *World) command(ctx context.Context, dir string, in io.Reader, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, w.environ(), in
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	err := cmd.Run()
	if w.Log != nil {
		fmt.Fprintf(w.Log, "$ %s %s\n%s%s(%s)\n", filepath.Base(name), strings.Join(args, " "), said.String(), out.String(), time.Since(began).Round(time.Millisecond))
	}
	if err != nil {
		return out.String(), &CommandError{Args: append([]string{filepath.Base(name)}, args...), Said: said.String(), Err: err}
	}
	return out.String(), nil
}

// A CommandError is an operator's command that ended badly.
type CommandError struct {
	Args []string
	Said string
	Err  error
}

// Error shows the end of what the command said.
func (e *CommandError) Error() string {
	said := e.Said[max(0, len(e.Said)-2000):]
	return fmt.Sprintf("%s: %v\n%s", strings.Join(e.Args, " "), e.Err, said)
}

// Code returns the exit code, -1 for a command that was killed.
func (e *CommandError) Code() int {
	var exit *exec.ExitError
	if errors.As(e.Err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// Host starts a clean host that trusts the registry.
func (w *World) Host(ctx context.Context, name string, o lab.HostOptions) (*lab.Host, error) {
	h, err := w.Lab.Host(ctx, name, o)
	if err != nil {
		return nil, err
	}
	return h, h.TrustRegistry(ctx, w.Registry.Address)
}

// Add has the operator add a host to the fleet, and lets it read the repository. Docker and the time are Salvor's there:
// a scenario about the other areas says so itself, and the others need no package that their hosts lack.
func (w *World) Add(ctx context.Context, h *lab.Host) error {
	return w.AddWith(ctx, h, "--manage", strings.Join(fleet.EveryArea().Words(), ","))
}

// AddWith has the operator add a host as Add does, with other flags.
func (w *World) AddWith(ctx context.Context, h *lab.Host, flags ...string) error {
	key, err := fingerprint(ctx, h)
	if err != nil {
		return err
	}
	args := append([]string{"host", "add", h.Name, "root@" + h.Address.String(), "--host-key", key}, flags...)
	gitKey, err := w.Salvor(ctx, nil, args...)
	if err != nil {
		return err
	}
	return w.Git.AddReadKey(ctx, strings.TrimSpace(gitKey))
}

// Fingerprint returns a host's SSH fingerprint as seen on its own console.
func Fingerprint(ctx context.Context, h *lab.Host) (string, error) { return fingerprint(ctx, h) }

func fingerprint(ctx context.Context, h *lab.Host) (string, error) {
	line, err := h.HostKey(ctx)
	if err != nil {
		return "", err
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(line))
	if err != nil {
		return "", err
	}
	return ssh.FingerprintSHA256(key), nil
}

// Clone is a second operator's world: the same fleet in a clone of its own.
func (w *World) Clone(ctx context.Context, name string) (*World, error) {
	other := *w
	other.Dir = filepath.Join(w.home, name)
	if _, err := w.command(ctx, w.home, nil, "git", "clone", "-q", w.Git.URL(), other.Dir); err != nil {
		return nil, err
	}
	trusted, err := w.Salvor(ctx, nil, "key", "trust")
	if err != nil {
		return nil, err
	}
	fingerprint, _, _ := strings.Cut(trusted, " ") // which the first operator gives to the second
	_, err = other.Salvor(ctx, nil, "key", "trust", fingerprint)
	return &other, err
}

// LoseOperator destroys the operator's computer: clone, keys, settings.
func (w *World) LoseOperator() error { return os.RemoveAll(w.home) }

// Fresh is the same fleet as seen from a computer that has the salvor program, a
// key for new hosts, and nothing else. Dir does not exist yet.
func (w *World) Fresh(name string) (*World, error) {
	other := *w
	other.home = filepath.Join(w.Lab.Folder(), name)
	other.Dir, other.bare = filepath.Join(other.home, "fleet"), true
	if err := os.MkdirAll(other.home, 0o700); err != nil {
		return nil, err
	}
	return &other, os.WriteFile(filepath.Join(other.home, ".gitconfig"), []byte(gitConfig), 0o600)
}

// Pull has the operator bring in what others pushed.
func (w *World) Pull(ctx context.Context) error {
	_, err := w.git(ctx, "pull", "-q", "--rebase", "origin", "main")
	return err
}

// Push has the operator publish commits.
func (w *World) Push(ctx context.Context) error {
	_, err := w.git(ctx, "push", "-q", "-u", "origin", "HEAD")
	return err
}

// Unfinished says what in the operator's clone is not committed or not pushed,
// "" for nothing.
func (w *World) Unfinished(ctx context.Context) (string, error) {
	status, err := w.git(ctx, "status", "--porcelain")
	if err != nil {
		return "", err
	}
	ahead, err := w.git(ctx, "log", "--oneline", "origin/HEAD..HEAD")
	if err != nil {
		ahead, err = w.git(ctx, "log", "--oneline", "origin/main..HEAD")
	}
	return status + ahead, err
}
