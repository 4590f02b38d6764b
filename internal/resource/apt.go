package resource

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

const (
	aptDeadline  = 30 * time.Minute // one apt-get, on a slow line
	lockPatience = 5 * time.Minute  // a booting cloud image upgrades itself that long
	lockPause    = time.Second
	listsAge     = 24 * time.Hour // how old apt's lists may be
	aptLists     = "/var/lib/apt/lists"
)

// apt drives apt-get and dpkg. Both allow one of their kind at a time; Salvor waits
// for the holder of the lock.
type apt struct {
	machine machine.Machine
	say     func(string)
}

// install brings packages to the newest version that apt's lists name. An
// interrupted dpkg is finished first, since apt-get refuses to work after one.
func (a apt) install(ctx context.Context, names []string) error {
	if err := a.run(ctx, "dpkg", "--configure", "-a", "--force-confdef", "--force-confold"); err != nil {
		return err
	}
	stale, err := a.stale(ctx)
	if err != nil {
		return err
	}
	missing := ""
	if stale {
		if missing, err = a.update(ctx); err != nil {
			return err
		}
	}
	err = a.get(ctx, names)
	if exit, ok := errors.AsType[*machine.ExitError](err); ok && exit.Code == 100 && !stale && ctx.Err() == nil {
		// the lists don't know a package, or name a version that the server no longer has
		if missing, err = a.update(ctx); err != nil {
			return err
		}
		err = a.get(ctx, names)
	}
	if err != nil && missing != "" {
		err = fmt.Errorf("package lists could not be fetched: %s: %w", missing, err)
	}
	return err
}

func (a apt) get(ctx context.Context, names []string) error {
	argv := []string{
		"apt-get", "install", "--yes", "--no-install-recommends", "--no-remove", "--quiet",
		"-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold",
		"-o", "Dpkg::Use-Pty=0", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=3", "--",
	}
	return a.run(ctx, append(argv, names...)...)
}

// stale reports whether the lists are older than a day or than the sources they
// were fetched from. apt leaves the folder's time alone when nothing was new,
// so update sets it.
func (a apt) stale(ctx context.Context) (bool, error) {
	sources := []string{"/etc/apt/sources.list", "/etc/apt/sources.list.d", "/etc/apt/keyrings"}
	h := observe.New(a.machine, observe.Query{Paths: append(sources, aptLists)})
	lists, err := h.File(ctx, aptLists)
	if err != nil {
		return false, err
	}
	if !lists.Exists || h.Began().Sub(lists.Modified) > listsAge {
		return true, nil
	}
	for _, p := range sources {
		f, err := h.File(ctx, p)
		if err != nil || f.Exists && f.Modified.After(lists.Modified) {
			return true, err
		}
	}
	return false, nil
}

// update fetches the lists. A source that does not answer is not an error to apt,
// which continues with the lists it has; missing says which they are, "" for none.
func (a apt) update(ctx context.Context) (missing string, err error) {
	a.say("fetching package lists")
	stderr, err := a.patiently(ctx, "apt-get", "update", "--quiet", "-o", "Acquire::Retries=3")
	if err != nil {
		return "", explain(err, stderr)
	}
	if missing = notFetched(stderr); missing != "" {
		return missing, nil // the next try fetches them
	}
	return "", run(ctx, a.machine, "touch", "--", aptLists)
}

// notFetched returns apt's first line about a list that it could not fetch.
func notFetched(stderr []byte) string {
	for line := range strings.Lines(string(stderr)) {
		if _, what, found := strings.Cut(strings.TrimSpace(line), "Failed to fetch "); found {
			return what
		}
	}
	return ""
}

// run is patiently for commands of which only the end counts.
func (a apt) run(ctx context.Context, argv ...string) error {
	stderr, err := a.patiently(ctx, argv...)
	return explain(err, stderr)
}

// patiently runs a package manager, again and again while another one holds the
// lock.
func (a apt) patiently(ctx context.Context, argv ...string) (stderr []byte, err error) {
	patience := time.NewTimer(lockPatience)
	defer patience.Stop()
	for {
		stderr, err := a.once(ctx, argv)
		if err == nil || !locked(stderr) {
			return stderr, err
		}
		a.say("waiting for another package manager")
		select {
		case <-time.After(lockPause):
		case <-patience.C:
			return nil, fmt.Errorf("another package manager is still running after %s: %w", lockPatience, err)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (a apt) once(ctx context.Context, argv []string) (stderr []byte, err error) {
	out, err := a.machine.Run(ctx, machine.Cmd{
		Argv:    argv,
		Env:     []string{"DEBIAN_FRONTEND=noninteractive", "APT_LISTCHANGES_FRONTEND=none", "NEEDRESTART_SUSPEND=1"},
		Stdout:  &progressLines{say: a.say},
		Timeout: aptDeadline,
	})
	if exit, ok := errors.AsType[*machine.ExitError](err); ok {
		return exit.Stderr, err
	}
	return out.Stderr, err
}

// explain adds what stderr said before its last line, which is part of err
// already: when a package's script fails, apt's last word does not say why.
func explain(err error, stderr []byte) error {
	lines := strings.FieldsFunc(string(stderr), func(r rune) bool { return r == '\n' })
	if err == nil || len(lines) < 2 {
		return err
	}
	before := lines[max(0, len(lines)-6) : len(lines)-1]
	return fmt.Errorf("%w (before that: %s)", err, strings.Join(before, " | "))
}

// locked recognises the ways in which dpkg and apt report that another one is at
// work; their exit codes don't show it.
func locked(stderr []byte) bool {
	for _, phrase := range []string{"Could not get lock", "Unable to acquire the dpkg frontend lock", "lock was locked by"} {
		if bytes.Contains(stderr, []byte(phrase)) {
			return true
		}
	}
	return false
}

// progressLines passes on the lines of apt's and dpkg's output that say how far
// they are. APT::Status-Fd would give percentages, but there is no descriptor to
// spare: given the standard output, apt closes it for the packages' scripts, and
// docker.io's on Debian 12 fails for it.
type progressLines struct {
	say     func(string)
	partial []byte
}

// Write never fails.
func (l *progressLines) Write(p []byte) (int, error) {
	l.partial = append(l.partial, p...)
	for {
		line, rest, ok := bytes.Cut(l.partial, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		if text := progressText(string(line)); text != "" {
			l.say(text)
		}
		l.partial = rest
	}
}

// progressText shortens "Get:3 URL trixie/main amd64 docker.io amd64 26.1 [31 MB]"
// and "Setting up docker.io (26.1) ...", and returns "" for other lines.
func progressText(line string) string {
	words := strings.Fields(line)
	switch {
	case strings.HasPrefix(line, "Get:") && len(words) == 9 && strings.HasPrefix(words[len(words)-2], "["):
		return "fetching " + words[4] + " " + words[len(words)-2] + " " + words[len(words)-1]
	case strings.HasPrefix(line, "Unpacking "), strings.HasPrefix(line, "Setting up "):
		return strings.ToLower(line[:1]) + strings.TrimSuffix(line[1:], " ...")
	case strings.HasPrefix(line, "Waiting for cache lock"):
		return "waiting for another package manager"
	}
	return ""
}
