package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The labels of everything a lab starts.
const (
	labelRun   = "salvor.lab.run"
	labelOwner = "salvor.lab.owner" // see owner
	labelHost  = "salvor.lab.host"  // the host's name, on its container
)

// kept is the owner of labs that outlive the process that started them.
const kept = "kept"

// owner names this process so that it can be distinguished from a later one with the
// same id: "<pid>-<start time in clock ticks since boot>-<boot id>".
func owner() (string, error) { return ownerOf(os.Getpid()) }

func ownerOf(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", err
	}
	// proc(5): the program's name in parentheses may hold spaces; starttime is
	// field 22, the twentieth behind it
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	return fmt.Sprintf("%d-%s-%s", pid, fields[19], strings.TrimSpace(string(boot))[:8]), nil
}

// alive reports whether the process that a label names still runs.
func alive(label string) bool {
	first, _, _ := strings.Cut(label, "-")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	now, err := ownerOf(pid)
	return err == nil && now == label
}

// A Run is a lab found by the labels on the engine, or by its folder.
type Run struct {
	ID    string
	Alive bool // its process still runs
	Kept  bool // it was started to outlive its process

	owner string
}

// Runs lists the labs that have containers, networks or volumes on the engine, or a
// folder.
func Runs(ctx context.Context) ([]Run, error) {
	owners, err := folders()
	if err != nil {
		return nil, err
	}
	format := fmt.Sprintf(`{{.Label %q}} {{.Label %q}}`, labelRun, labelOwner)
	for _, kind := range kinds {
		out, err := docker(ctx, append(kind.list, "--filter", "label="+labelRun, "--format", format)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			id, owner, _ := strings.Cut(strings.TrimSpace(line), " ")
			owners[id] = owner
		}
	}
	var runs []Run
	for _, id := range slices.Sorted(maps.Keys(owners)) {
		runs = append(runs, Run{ID: id, Alive: alive(owners[id]), Kept: owners[id] == kept, owner: owners[id]})
	}
	return runs, nil
}

// kinds are the engine's things a lab starts, in the order to remove them.
var kinds = []struct {
	list   []string
	remove func(ctx context.Context, names ...string) error
}{
	{[]string{"ps", "-a"}, remove},
	{[]string{"volume", "ls"}, by("volume", "rm", "-f")},
	{[]string{"network", "ls"}, by("network", "rm")},
}

// by removes with an engine command.
func by(command ...string) func(context.Context, ...string) error {
	return func(ctx context.Context, names ...string) error {
		_, err := docker(ctx, append(slices.Clone(command), names...)...)
		return err
	}
}

// Remove takes away everything that carries the run's id. It may be called
// again after an error, and for a run that is gone.
func Remove(ctx context.Context, id string) error {
	var errs []error
	for _, kind := range kinds {
		names := "{{.Name}}"
		if kind.list[0] == "ps" {
			names = "{{.Names}}"
		}
		out, err := docker(ctx, append(kind.list, "--filter", "label="+labelRun+"="+id, "--format", names)...)
		if err != nil {
			return err
		}
		if found := strings.Fields(out); len(found) > 0 {
			errs = append(errs, kind.remove(ctx, found...))
		}
	}
	folder, err := runFolder(id)
	if err != nil {
		return err
	}
	return errors.Join(append(errs, os.RemoveAll(folder))...)
}

// Sweep removes what dead processes left behind and returns the runs it removed. Labs
// kept on purpose stay, see End. Processes that sweep at once do so one after the other.
func Sweep(ctx context.Context) ([]string, error) {
	unlock, err := lock(sweeping)
	if err != nil {
		return nil, err
	}
	defer unlock()
	runs, err := Runs(ctx)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, r := range runs {
		if r.Alive || r.Kept {
			continue
		}
		if err := Remove(ctx, r.ID); err != nil {
			return removed, fmt.Errorf("remove lab %s: %w", r.ID, err)
		}
		removed = append(removed, r.ID)
	}
	return removed, nil
}

// endLimit is how long a living process gets to take its own lab down.
const endLimit = 10 * time.Minute

// End takes one lab down, also one of another process. A process that still runs is asked to do
// it, and ends with its lab.
func End(ctx context.Context, id string) error {
	runs, err := Runs(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(runs, func(r Run) bool { return r.ID == id })
	if i < 0 {
		return fmt.Errorf("there is no lab %s; salvorlab doctor lists them", id)
	}
	if err := runs[i].ask(ctx); err != nil {
		return fmt.Errorf("end lab %s: %w", id, err)
	}
	return Remove(ctx, id)
}

// ask has the lab's process end, and waits until it has.
func (r Run) ask(ctx context.Context) error {
	if !r.Alive {
		return nil
	}
	pid, _, _ := strings.Cut(r.owner, "-")
	n, err := strconv.Atoi(pid)
	if err != nil {
		return err
	}
	if err := syscall.Kill(n, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return until(ctx, endLimit, func(context.Context) error {
		if alive(r.owner) {
			return fmt.Errorf("process %d still runs", n)
		}
		return nil
	})
}

// cacheFolder is where packages and built files are kept between runs.
func cacheFolder(parts ...string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(append([]string{base, "salvor-lab"}, parts...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

func runFolder(id string) (string, error) {
	runs, err := cacheFolder("runs")
	return filepath.Join(runs, id), err
}

// sweeping is the lock under which runs are begun and swept: no folder is seen that does
// not have its owner yet.
const sweeping = "sweep"

// ownerFile names the owner of a run's folder, as the labels do on the engine.
const ownerFile = "owner"

// newFolder makes the folder of a run.
func newFolder(id, owner string) (string, error) {
	unlock, err := lock(sweeping)
	if err != nil {
		return "", err
	}
	defer unlock()
	dir, err := runFolder(id)
	if err != nil {
		return "", err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, ownerFile), []byte(owner), 0o600)
}

// Scratch makes a folder for files of this process, which is removed by remove, or by
// the next sweep after the process was killed.
func Scratch(name string) (dir string, remove func() error, err error) {
	me, err := owner()
	if err != nil {
		return "", nil, err
	}
	dir, err = newFolder(newID(name), me)
	return dir, func() error { return os.RemoveAll(dir) }, err
}

// newID names a run.
func newID(name string) string {
	var random [4]byte
	rand.Read(random[:])
	return "salvorlab-" + name + "-" + hex.EncodeToString(random[:])
}

// folders returns the owners of the runs that have a folder, "" where none is named.
func folders() (map[string]string, error) {
	dir, err := cacheFolder("runs")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	owners := map[string]string{}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(dir, e.Name(), ownerFile))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		owners[e.Name()] = string(content)
	}
	return owners, nil
}

// Find returns the named host of the lab with that id, or among all labs that are up where
// id is ""; two labs with such a host are an error then. The host is another process's:
// its power can be cut and given back, and programs can run on it.
func Find(ctx context.Context, id, host string) (*Host, error) {
	args := []string{"ps", "-a", "--filter", "label=" + labelHost + "=" + host, "--format", "{{.Names}}"}
	if id != "" {
		args = append(args, "--filter", "label="+labelRun+"="+id)
	}
	out, err := docker(ctx, args...)
	if err != nil {
		return nil, err
	}
	switch found := strings.Fields(out); len(found) {
	case 0:
		return nil, fmt.Errorf("there is no host %s", host)
	case 1:
		return &Host{Name: host, container: found[0]}, nil
	default:
		return nil, fmt.Errorf("%d hosts are called %s: %s; --lab says which", len(found), host, strings.Join(found, ", "))
	}
}
