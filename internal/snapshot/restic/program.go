// Package restic runs the restic program (0.14 or newer) and reads what it
// prints. Nothing of a repository's location or password is in arguments,
// environment or files: see package nsexec.
package restic

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"salvor/internal/machine"
	"salvor/internal/secret"
	"salvor/internal/snapshot/nsexec"
)

// ErrInUse is wrapped by errors that mean: another restic holds a lock on the
// repository.
var ErrInUse = errors.New("snapshot repository is in use")

// exitIncomplete is restic's exit code for a snapshot that was made although
// some files could not be read.
const exitIncomplete = 3

// A Program is an installed restic.
type Program struct {
	Host    machine.Machine
	Helper  []string // argv that ends in nsexec.Main
	Path    string   // absolute
	Version Version
	Cache   string // folder for restic's own cache of this repository, "" for none
	Temp    string // folder on disk for restic's temporary packs, "" for the default
	Name    string // the host name restic sees, which it writes into its locks
}

// A Repository is where restic works and the password it opens with.
type Repository struct {
	URL      secret.Value
	Password secret.Value
}

// A call is one run of restic.
type call struct {
	args    []string
	binds   []nsexec.Bind
	from    Repository // the other one, for a copy
	stdout  io.Writer
	stderr  io.Writer
	timeout time.Duration
}

// Detect asks the restic at path, an absolute one, for its version.
func Detect(ctx context.Context, host machine.Machine, path string) (Version, error) {
	cmd := machine.Command(path, "version")
	cmd.Timeout = time.Minute
	out, err := host.Run(ctx, cmd)
	if err != nil {
		return Version{}, fmt.Errorf("ask restic for its version: %w", err)
	}
	return ParseVersion(out.Stdout)
}

func (p Program) run(ctx context.Context, repo Repository, c call) error {
	argv := []string{p.Path, "--json", "--repository-file", "{repository}", "--password-file", "{password}"}
	if p.Cache == "" {
		argv = append(argv, "--no-cache")
	} else {
		argv = append(argv, "--cache-dir", p.Cache, "--cleanup-cache")
	}
	spec := nsexec.Spec{
		Argv: append(argv, c.args...), Binds: c.binds, Hostname: p.Name,
		Env:     []string{"RESTIC_PROGRESS_FPS=" + strconv.Itoa(2)},
		Secrets: map[string]secret.Value{"repository": repo.URL, "password": repo.Password},
	}
	if !c.from.URL.IsZero() {
		spec.Secrets["from-repository"], spec.Secrets["from-password"] = c.from.URL, c.from.Password
	}
	if p.Temp != "" {
		spec.Env = append(spec.Env, "TMPDIR="+p.Temp)
	}
	for _, dir := range []string{p.Cache, p.Temp} {
		if dir != "" {
			spec.Writes = append(spec.Writes, dir)
		}
	}
	cmd, err := nsexec.Command(p.Helper, spec)
	if err != nil {
		return err
	}
	cmd.Stdout, cmd.Stderr, cmd.Timeout = c.stdout, c.stderr, c.timeout
	if cmd.Stdout == nil {
		cmd.Stdout = io.Discard
	}
	_, err = p.Host.Run(ctx, cmd)
	return explain(c.args[0], err)
}

// explain names restic's command, and wraps the sentinels where restic's exit
// code (0.17 and newer) or, before, its message says so.
func explain(command string, err error) error {
	var exit *machine.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	shown := &machine.ExitError{Argv: []string{"restic", command}, Code: exit.Code, Stderr: exit.Stderr}
	switch {
	case exit.Code == 12 || bytes.Contains(exit.Stderr, []byte("wrong password or no key found")):
		return fmt.Errorf("open snapshot repository: %w", secret.ErrLocked)
	case exit.Code == 11 || bytes.Contains(exit.Stderr, []byte("unable to create lock")):
		return fmt.Errorf("%w: %w", ErrInUse, shown)
	}
	return shown
}

// A Backup is one run of `restic backup`.
type Backup struct {
	Host   string // written into the snapshot
	Path   string // what is read
	Tags   []string
	Parent string // snapshot id, "" to read every file
	Binds  []nsexec.Bind

	ExcludeFile string // with patterns of what is left out, "" for none
}

// Backup reads files and returns what restic says of the snapshot. Files that could
// not be read are in the summary's Unread, and are not an error.
func (p Program) Backup(ctx context.Context, repo Repository, b Backup) (Summary, error) {
	args := []string{"backup", "--host", b.Host}
	for _, tag := range b.Tags {
		args = append(args, "--tag", tag)
	}
	if b.Parent != "" {
		args = append(args, "--parent", b.Parent)
	} else {
		args = append(args, "--force")
	}
	if b.ExcludeFile != "" {
		args = append(args, "--exclude-file", b.ExcludeFile)
	}
	var report backupReport
	var unread unreadReport // standard error is read in parallel to standard output
	err := p.run(ctx, repo, call{args: append(args, b.Path), binds: b.Binds, stdout: &lineWriter{each: report.line}, stderr: &lineWriter{each: unread.line}})
	report.summary.Unread = append(report.summary.Unread, unread.items...)
	var exit *machine.ExitError
	if errors.As(err, &exit) && exit.Code == exitIncomplete && len(report.summary.Unread) > 0 {
		err = nil
	}
	if err != nil {
		return Summary{}, err
	}
	return report.result()
}

// Copy copies one snapshot, by its full id, from another repository, with what repo lacks of
// it. The other one is only read, and not locked. Where repo has the same snapshot already,
// it does nothing.
func (p Program) Copy(ctx context.Context, repo, from Repository, id string) error {
	args := []string{"copy", "--no-lock", "--from-repository-file", "{from-repository}", "--from-password-file", "{from-password}", id}
	return p.run(ctx, repo, call{args: args, from: from})
}

// Prune removes what no snapshot needs.
func (p Program) Prune(ctx context.Context, repo Repository) error {
	return p.run(ctx, repo, call{args: []string{"prune"}})
}

// RepairIndex rebuilds the index from the packs that are there: entries of missing
// packs are removed, and packs that no readable index names are found again. It reads
// no cache.
func (p Program) RepairIndex(ctx context.Context, repo Repository) error {
	p.Cache = ""
	args := []string{"rebuild-index"}
	if p.Version.AtLeast(0, 16) {
		args = []string{"repair", "index"}
	}
	return p.run(ctx, repo, call{args: args})
}

// Check reads the repository's structure; with share set, for example "1/30",
// that part of the data as well.
func (p Program) Check(ctx context.Context, repo Repository, share string) error {
	args := []string{"check", "--no-lock"}
	if share != "" {
		args = append(args, "--read-data-subset", share)
	}
	return p.run(ctx, repo, call{args: args})
}
