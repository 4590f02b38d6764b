package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/progress"
	"salvor/internal/secret/ansiblevault"
	"salvor/internal/terminal"
)

// An Around runs the playbooks that fleet.yaml has around a host's part of an apply, with what
// the commit has in playbooks/, and in secrets/ with vaults, and nothing else of it: the operator
// has approved what Ansible can read of that. Its methods may be called concurrently.
type Around struct {
	Fleet *Fleet
	Files fs.FS  // the commit's
	Cache string // a folder for salvord, of this user alone
}

// Before runs the playbook that comes before a host's part, on that host.
func (a *Around) Before(ctx context.Context, host string, sink progress.Sink) error {
	return a.run(ctx, a.Fleet.Declared.Playbooks.Before, host, sink)
}

// After runs the playbook that comes after a host's part, on that host.
func (a *Around) After(ctx context.Context, host string, sink progress.Sink) error {
	return a.run(ctx, a.Fleet.Declared.Playbooks.After, host, sink)
}

func (a *Around) run(ctx context.Context, playbook, host string, sink progress.Sink) (err error) {
	if playbook == "" {
		return nil
	}
	scope := progress.Scope{Sink: sink, Host: host}
	end := scope.Step(playbook, "")
	defer func() { end(err, "") }()
	dir, err := os.MkdirTemp("", "salvor-playbooks-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	config, err := a.furnish(dir)
	if err != nil {
		return err
	}
	said := &tasks{say: func(line string) { scope.Say(playbook, line) }}
	err = a.Fleet.Run(ctx, Play{
		Playbook: filepath.Join(dir, playbook), Args: []string{"--limit", host}, Dir: dir, Env: []string{"ANSIBLE_CONFIG=" + config},
		Cache: a.Cache, Out: said, Err: said,
	})
	if exit, is := errors.AsType[*machine.ExitError](err); is {
		err = fault.WithHint(fmt.Errorf("%s failed with exit code %d: %s", playbook, exit.Code, said.why()), fmt.Sprintf("salvor ansible %s -- --limit %s", playbook, host))
	}
	return err
}

// furnish fills the folder that a playbook runs in, and returns its ansible.cfg.
func (a *Around) furnish(dir string) (config string, err error) {
	if err := copyPlain(a.Files, fleet.PlaybooksDir, dir, func(string, []byte) bool { return true }); err != nil {
		return "", err
	}
	if err := copyPlain(a.Files, fleet.SecretDir, dir, hasVaults); err != nil {
		return "", err
	}
	config = filepath.Join(dir, fleet.PlaybooksDir, "ansible.cfg")
	if _, err := os.Stat(config); err == nil {
		return config, nil
	}
	config = filepath.Join(dir, "ansible.cfg")
	return config, atomicfile.Write(config, strings.NewReader(""), 0o600)
}

// hasVaults reports whether a file is a vault, or has some. Ansible takes any other value for a
// template, which can run a program on this computer, and anyone who can push can write one.
func hasVaults(path string, content []byte) bool {
	_, inline, err := ansiblevault.ParseInline(path, content)
	return ansiblevault.IsWhole(content) || inline && err == nil
}

// copyPlain copies the plain files below a folder that are wanted; none where it is not there. A
// link is left out: it may lead anywhere.
func copyPlain(from fs.FS, folder, to string, wanted func(path string, content []byte) bool) error {
	return fs.WalkDir(from, folder, func(path string, d fs.DirEntry, err error) error {
		at := filepath.Join(to, filepath.FromSlash(path))
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == folder:
			return nil
		case err != nil:
			return err
		case d.IsDir():
			return os.Mkdir(at, 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, err := fs.ReadFile(from, path)
		if err != nil || !wanted(path, content) {
			return err
		}
		return atomicfile.Write(at, bytes.NewReader(content), info.Mode().Perm()&0o100|0o600)
	})
}

// keptOutput is how much of what a playbook prints is kept for its error.
const keptOutput = 16 << 10

// tasks reads what ansible-playbook prints: it says each task, and knows why one failed. It
// may be written to concurrently.
type tasks struct {
	say func(line string)

	mu   sync.Mutex // guards what follows
	text []byte     // the end of it
	line []byte     // the one that has not ended yet
}

// Write implements io.Writer.
func (t *tasks) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-keptOutput):]
	t.line = append(t.line, p...)
	for {
		line, rest, ended := bytes.Cut(t.line, []byte("\n"))
		if !ended {
			break
		}
		if bytes.HasPrefix(line, []byte("TASK [")) {
			t.say(terminal.Line(strings.TrimRight(string(line), "* ")))
		}
		t.line = bytes.Clone(rest)
	}
	t.line = t.line[max(0, len(t.line)-keptOutput):]
	return len(p), nil
}

// failures begin a line in which ansible-playbook says why it ended (2.14, and 2.19).
var failures = []string{"fatal: ", "failed: ", "ERROR! ", "[ERROR]: "}

// why returns the last line that says why a task failed, or else the last one.
func (t *tasks) why() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var last, failed string
	for line := range strings.Lines(string(t.text)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		last = line
		for _, begin := range failures {
			if strings.HasPrefix(line, begin) {
				failed = line
			}
		}
	}
	if failed == "" {
		failed = last
	}
	return terminal.Line(failed)
}
