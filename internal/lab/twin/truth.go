package twin

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/lab/twin/docker"
	"salvor/internal/snapshot/repository"
)

// The laws.
const (
	lawOneWriter = "a stack writes on one host at most"
	lawKept      = "what a green snapshot held is never lost"
	lawReason    = "what does not converge says why"
	lawConverges = "a second run of the same command converges"
	lawNoSecret  = "no plain secret is on a disk"
)

// A Broken law, with what was seen.
type Broken struct {
	Law  string
	Text string
}

// truth is what really happened, which no program in the world knows whole.
type truth struct {
	lines     int                          // written by all stacks
	floor     map[string]string            // by stack, what its data begins with at least
	snapshots map[string]map[string]string // by stack and snapshot, what its data began with at least
	changing  map[string]int               // by stack, how many commands began or ended that may change where it is or what it holds
}

func newTruth() truth {
	return truth{floor: map[string]string{}, snapshots: map[string]map[string]string{}, changing: map[string]int{}}
}

// broken notes a broken law.
func (w *world) broken(law, format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	b := Broken{Law: law, Text: fmt.Sprintf("%s ", time.Now().Format(time.TimeOnly)) + fmt.Sprintf(format, args...)}
	w.laws = append(w.laws, b)
	w.log = append(w.log, "BROKEN: "+b.Law+": "+b.Text)
}

func (h *host) journalOf(stack string) string {
	return filepath.Join(h.paths().Volumes, stack+"_data", "_data", "log")
}

// data is what a stack's volume holds on a host, "" for nothing.
func (h *host) data(stack string) string {
	content, err := os.ReadFile(h.journalOf(stack))
	if err != nil {
		return ""
	}
	return string(content)
}

// runs reports whether a container of the stack is there on the host.
func (h *host) runs(stack string) bool {
	return slices.ContainsFunc(h.engine.Containers(), func(c docker.Container) bool { return c.Project == stack && c.Runs() })
}

// write has every container that is not frozen write a line to its volume.
func (w *world) write() {
	for _, stack := range w.stacks {
		w.oneWriter(stack)
		for _, h := range w.hosts {
			for _, c := range h.engine.Containers() {
				if c.Project == stack && c.State == "running" {
					w.append(h, stack)
				}
			}
		}
	}
}

func (w *world) append(h *host, stack string) {
	w.mu.Lock()
	w.truth.lines++
	line := strconv.Itoa(w.truth.lines) + " " + h.name + "\n"
	w.mu.Unlock()
	f, err := os.OpenFile(h.journalOf(stack), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return // its volume is being replaced, or the power is cut right now
	}
	defer f.Close()
	_, _ = f.WriteString(line)
}

// owners are the hosts that have a stack by the highest claim, or by Git where that is
// ahead.
func (w *world) owners(stack string) []string {
	lock, err := lockOf(w.git.Files())
	if err != nil {
		return nil
	}
	epoch, hosts := lock.Stacks[stack].Epoch, []string{lock.Stacks[stack].Host}
	w.remote.Search(func(at string, content []byte) {
		name, ok := strings.CutPrefix(at, recordPath+"/claims/"+stack+"/")
		if !ok {
			return
		}
		number, _, _ := strings.Cut(name, "-")
		n, err := strconv.Atoi(number)
		if err != nil || n < epoch {
			return
		}
		if n > epoch {
			epoch, hosts = n, nil
		}
		for _, h := range w.hosts {
			if strings.Contains(string(content), w.recipients[h.name]) {
				hosts = append(hosts, h.name)
			}
		}
	})
	return hosts
}

// started is called when a container has started.
func (w *world) started(h *host, c docker.Container) {
	w.note("%s starts %s (%s)", h.name, c.Project, c.Image)
	w.oneWriter(c.Project)
	if slices.Contains(w.owners(c.Project), h.name) {
		w.kept(h, c.Project, "starts")
	} else {
		h.strays(c.Project)
	}
	w.append(h, c.Project)
}

// kept checks that a stack's data on a host is at least what it has to be.
func (w *world) kept(h *host, stack, what string) {
	w.mu.Lock()
	floor := w.truth.floor[stack]
	w.mu.Unlock()
	if is := h.data(stack); !strings.HasPrefix(is, floor) {
		w.broken(lawKept, "%s %s %s without what a snapshot held: %d bytes, want at least %d", h.name, what, stack, len(is), len(floor))
	}
}

// oneWriter checks that the stack runs on one host. A host that can't be reached, and
// reaches nothing, may run what it has lost until a lease after it reaches something.
func (w *world) oneWriter(stack string) {
	var running []string
	owners := w.owners(stack)
	stale := 0
	for _, h := range w.hosts {
		if !h.runs(stack) {
			continue
		}
		running = append(running, h.name)
		if slices.Contains(owners, h.name) {
			continue
		}
		h.mu.Lock()
		able := !h.able.IsZero() && time.Since(h.able) > lease().Length()+slack
		h.mu.Unlock()
		if able {
			stale++
		}
	}
	if len(running) > 1 && (stale > 0 || len(owners) > 1 && contains(owners, running)) {
		w.broken(lawOneWriter, "%s runs on %s; it is of %s", stack, strings.Join(running, " and "), strings.Join(owners, ", "))
	}
}

// strays checks that a host which reaches Git or the remote starts nothing of another's
// that runs there.
func (h *host) strays(stack string) {
	w := h.w
	w.mu.Lock()
	reaches := !w.cut[h.name] && (!w.away["git"] || !w.away["remote"])
	w.mu.Unlock()
	for _, other := range w.hosts {
		if reaches && other != h && other.runs(stack) {
			w.broken(lawOneWriter, "%s starts %s, which runs on %s", h.name, stack, other.name)
		}
	}
}

// slack is what a host may need beyond its lease: what is slow in a world is slow in
// every step of a look.
const slack = 10 * time.Second

func contains(all, some []string) bool {
	for _, s := range some {
		if !slices.Contains(all, s) {
			return false
		}
	}
	return true
}

// begin is called before and after a command that may change where stacks are or what
// they hold.
func (w *world) begin(stacks []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range stacks {
		w.truth.changing[s]++
	}
}

// acknowledged is called with what a stack held when a snapshot of it began that is
// green now; changes is what was counted then.
func (w *world) acknowledged(stack, id, held string, changes int) {
	lock, err := lockOf(w.git.Files())
	is, readErr := w.inSnapshot(lock, stack, id)
	w.mu.Lock()
	alone := changes%2 == 0 && w.truth.changing[stack] == changes
	w.mu.Unlock()
	if !alone {
		held = common(held, is) // a restore may have replaced what it held
	}
	if readErr != nil || !strings.HasPrefix(is, held) {
		w.broken(lawKept, "snapshot %.8s of %s is green, and holds %d bytes of at least %d: %v", id, stack, len(is), len(held), readErr)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.truth.snapshots[stack] == nil {
		w.truth.snapshots[stack] = map[string]string{}
	}
	if old, known := w.truth.snapshots[stack][id]; !known || len(held) > len(old) {
		w.truth.snapshots[stack][id] = held
	}
	if wished := lock.Stacks[stack].Restore; err != nil || wished != nil {
		return // what is green now may be replaced as the operator wished
	}
	if alone && len(held) > len(w.truth.floor[stack]) && strings.HasPrefix(held, w.truth.floor[stack]) {
		w.truth.floor[stack] = held
	}
}

// inSnapshot reads a stack's data from a snapshot as it lies on the remote.
func (w *world) inSnapshot(lock fleet.Lock, stack, id string) (string, error) {
	at := lock.Stacks[stack].Repositories["offsite"]
	password, _ := w.vault.get(path.Join("repository", at))
	repo, err := repository.Open(w.ctx, w.remote.Calm(path.Join(dataPath, stack, at)), password, repository.Spare{})
	if err != nil {
		return "", err
	}
	snapshot, err := repo.Snapshot(w.ctx, id)
	if err != nil {
		return "", err
	}
	file, err := repo.Lookup(w.ctx, snapshot, path.Join("/salvor", stack, "data", "log"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil // the stack had not started: its volume was empty
	}
	if err != nil {
		return "", err
	}
	content, err := repo.File(w.ctx, file)
	return string(content), err
}

// goesBack is called before a stack is asked to go back to a snapshot, and with done once
// it has.
func (w *world) goesBack(stack, id string, done bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.truth.snapshots[stack][id]
	if done {
		w.truth.floor[stack] = held
		return
	}
	w.truth.floor[stack] = common(w.truth.floor[stack], held)
}

func common(a, b string) string {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}

// search looks for secrets in plain text on every disk and on the remote.
func (w *world) search() {
	w.vault.mu.Lock()
	words := maps.Clone(w.vault.words)
	w.vault.mu.Unlock()
	look := func(where string, content []byte) {
		for name, word := range words {
			if strings.Contains(string(content), string(word.Reveal())) {
				w.broken(lawNoSecret, "%s has the secret %s found unencrypted", where, name)
			}
		}
	}
	w.remote.Search(func(at string, content []byte) { look("the remote: "+at, content) })
	for name, content := range w.git.Files() {
		look("the repository: "+name, content)
	}
	for _, h := range w.hosts {
		h.search(look)
	}
}

// search calls look for every file on the host's disk.
func (h *host) search(look func(where string, content []byte)) {
	paths := h.paths()
	for _, dir := range []string{paths.Config, paths.State, paths.Volumes} {
		_ = filepath.WalkDir(dir, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if content, err := os.ReadFile(p); err == nil {
					look(p, content)
				}
			}
			return nil // what vanishes meanwhile holds nothing
		})
	}
	h.files.mu.Lock()
	defer h.files.mu.Unlock()
	for p, content := range h.files.all {
		look(h.name+": "+p, content)
	}
}
