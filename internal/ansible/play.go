package ansible

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/machine/ssh"
	"salvor/internal/secret"
)

// program runs playbooks.
const program = "ansible-playbook"

// A Play is one run of ansible-playbook.
type Play struct {
	Playbook string
	Args     []string
	Dir      string // where it runs, "" for here
	Env      []string
	Cache    string // a folder for salvord, of this user alone
	In       io.Reader
	Out, Err io.Writer
}

// Installed returns an error where this computer has no Ansible.
func Installed() error {
	if local.Find(program) != "" {
		return nil
	}
	return fault.WithHint(errors.New("PATH has no "+program), "install Ansible: apt install ansible, or pipx install ansible-core")
}

// Run runs a playbook on the hosts of the fleet: with their pinned keys, with the keys that
// salvor itself logs in with, and with the passwords of the fleet's vaults. No secret is in an
// argument, a variable or a file: keys are used through an agent in this process, and
// passwords are read from pipes. How ansible-playbook ended is a *machine.ExitError.
func (f *Fleet) Run(ctx context.Context, p Play) error {
	if err := Installed(); err != nil {
		return err
	}
	if err := f.Confirm(ctx); err != nil {
		return err
	}
	all, err := f.logins(ctx)
	if err != nil {
		return err
	}
	roster, err := ssh.NewRoster(ctx, all)
	if err != nil {
		return err
	}
	defer roster.Close()
	defer hangUp(ctx, controlDir(roster))
	inventory, err := f.inventoryFile(roster, Paths{Logins: all}, p.Cache)
	if err != nil {
		return err
	}
	vaults, err := f.openVaults(ctx)
	if err != nil {
		return err
	}
	defer vaults.close()
	argv := append([]string{program, "-i", inventory}, vaults.args...)
	argv = append(append(argv, p.Playbook), p.Args...)
	err = local.Program{Argv: argv, Dir: p.Dir, Env: append(p.Env, utf8()...), Files: vaults.files, In: p.In, Out: p.Out, Err: p.Err}.Foreground(ctx)
	if why := roster.Err(); why != nil {
		return why
	}
	return err
}

// logins say how each host is reached.
func (f *Fleet) logins(ctx context.Context) ([]ssh.Options, error) {
	all := make([]ssh.Options, len(f.Declared.Hosts))
	var each errgroup.Group
	for i, h := range f.Declared.Hosts {
		each.Go(func() (err error) {
			all[i], err = f.Login(ctx, h)
			return err
		})
	}
	return all, each.Wait()
}

// inventoryFile writes the inventory next to ssh's configuration.
func (f *Fleet) inventoryFile(roster *ssh.Roster, at Paths, cache string) (string, error) {
	var err error
	if at.Programs, err = Programs(f, cache); err != nil {
		return "", err
	}
	at.Config, at.Control = roster.Config, controlDir(roster)
	i, err := NewInventory(f, at)
	if err != nil {
		return "", err
	}
	content, err := i.File()
	if err != nil {
		return "", err
	}
	path := filepath.Join(roster.Dir, "hosts.json")
	return path, atomicfile.Write(path, bytes.NewReader(content), 0o600)
}

// controlDir is where ssh has the sockets of its open connections.
func controlDir(roster *ssh.Roster) string { return filepath.Join(roster.Dir, "cp") }

// hangUpLimit is how long an ssh may take to end.
const hangUpLimit = 5 * time.Second

// hangUp ends the connections that ansible-playbook leaves open for its next run, as far as they
// end: the next run has another folder and never finds them.
func hangUp(ctx context.Context, control string) {
	sockets, _ := filepath.Glob(filepath.Join(control, "*")) // the pattern is well formed
	for _, socket := range sockets {
		end := machine.Cmd{Argv: []string{"ssh", "-F", "none", "-o", "ControlPath=" + socket, "-O", "exit", "any"}, Timeout: hangUpLimit}
		_, _ = local.Machine{}.Run(context.WithoutCancel(ctx), end) // or it ends after a minute
	}
}

// vaults are the passwords of vault ids, each in a pipe that ansible-playbook reads once.
type vaults struct {
	args  []string
	files []*os.File // the ends that are read
}

// firstFile is the number that the first of a program's further files has.
const firstFile = 3

func (f *Fleet) openVaults(ctx context.Context) (*vaults, error) {
	v := &vaults{}
	for _, id := range slices.Sorted(maps.Keys(f.Declared.Vaults)) {
		name, _ := f.Declared.Vaults[id].Secret() // the loader takes references alone
		password, err := f.Secret(ctx, name)
		if err == nil {
			err = v.add(id, password)
		}
		if err != nil {
			v.close()
			return nil, fmt.Errorf("password of vault id %s: %w", id, err)
		}
	}
	return v, nil
}

// pipeRoom is what a pipe takes before it is read, on every system (POSIX: PIPE_BUF).
const pipeRoom = 512

func (v *vaults) add(id string, password secret.Value) error {
	line := append(bytes.TrimSpace(password.Reveal()), '\n') // ansible-vault strips as well
	if len(line) > pipeRoom {
		return fmt.Errorf("it has %d bytes; Ansible gets at most %d", len(line), pipeRoom)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	v.args = append(v.args, "--vault-id", fmt.Sprintf("%s@/dev/fd/%d", id, firstFile+len(v.files)))
	v.files = append(v.files, r)
	_, err = w.Write(line)
	return errors.Join(err, w.Close())
}

func (v *vaults) close() {
	for _, f := range v.files {
		_ = f.Close() // it was read, or never will be
	}
}

// utf8 is a locale that Ansible takes, for an environment without one.
func utf8() []string {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := os.Getenv(name); value != "" {
			if upper := strings.ToUpper(value); strings.HasSuffix(upper, "UTF-8") || strings.HasSuffix(upper, "UTF8") {
				return nil
			}
			break // the first that is set counts
		}
	}
	return []string{"LC_ALL=C.UTF-8"}
}
