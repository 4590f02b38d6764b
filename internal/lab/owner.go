package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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

// A Run is a lab found on the engine by its labels.
type Run struct {
	ID    string
	Alive bool // its process still runs
	Kept  bool // it was started to outlive its process
}

// Runs lists the labs that have containers, networks or volumes on the engine.
func Runs(ctx context.Context) ([]Run, error) {
	format := fmt.Sprintf(`{{.Label %q}} {{.Label %q}}`, labelRun, labelOwner)
	seen := map[string]bool{}
	var runs []Run
	for _, kind := range kinds {
		out, err := docker(ctx, append(kind.list, "--filter", "label="+labelRun, "--format", format)...)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(out) {
			id, owner, _ := strings.Cut(strings.TrimSpace(line), " ")
			if !seen[id] {
				seen[id] = true
				runs = append(runs, Run{ID: id, Alive: alive(owner), Kept: owner == kept})
			}
		}
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

// Sweep removes what dead processes left behind and returns the runs it removed.
// Labs kept on purpose go only when all is set; those of living processes never.
// Processes that sweep at once do so one after the other.
func Sweep(ctx context.Context, all bool) ([]string, error) {
	unlock, err := lock("sweep")
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
		if r.Alive || r.Kept && !all {
			continue
		}
		if err := Remove(ctx, r.ID); err != nil {
			return removed, fmt.Errorf("remove lab %s: %w", r.ID, err)
		}
		removed = append(removed, r.ID)
	}
	return removed, nil
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

// Find returns the container of the named host among all labs that are up; two
// labs with such a host are an error.
func Find(ctx context.Context, host string) (container string, err error) {
	out, err := docker(ctx, "ps", "--filter", "label="+labelHost+"="+host, "--format", "{{.Names}}")
	if err != nil {
		return "", err
	}
	switch found := strings.Fields(out); len(found) {
	case 0:
		return "", fmt.Errorf("no host %s is up", host)
	case 1:
		return found[0], nil
	default:
		return "", fmt.Errorf("%d hosts are called %s: %s", len(found), host, strings.Join(found, ", "))
	}
}
