package debiantest

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"salvor/internal/machine"
)

const (
	statusPath  = "/var/lib/dpkg/status"
	updatesPath = "/var/lib/dpkg/updates"
	lists       = "/var/lib/apt/lists"
)

// dpkg knows --configure -a.
func (h *Host) dpkg(c machine.Cmd) (string, error) {
	if c.Argv[1] != "--configure" {
		return "", exit(c, 2, "dpkg: error: unknown option "+c.Argv[1])
	}
	for ; h.updates > 0; h.updates-- {
		delete(h.nodes, fmt.Sprintf("%s/%04d", updatesPath, h.updates-1))
	}
	for _, name := range h.pending {
		h.configure(name)
	}
	h.pending = nil
	return "", nil
}

// aptGet knows update and install. Like the real one it refuses to install
// after an interrupted dpkg.
func (h *Host) aptGet(c machine.Cmd) (string, error) {
	switch c.Argv[1] {
	case "update":
		h.update()
		return "", nil
	case "install":
		return h.aptInstall(c)
	}
	return "", exit(c, 100, "E: Invalid operation "+c.Argv[1])
}

func (h *Host) update() {
	h.lists = slices.Sorted(maps.Keys(h.Available))
	for _, dir := range []string{"/var/lib/apt", lists} {
		if h.nodes[dir] == nil {
			h.nodes[dir] = &node{mode: fs.ModeDir | 0o755, owner: "root", group: "root", modified: h.tick()}
		}
	}
}

// RefreshLists fetches apt's lists, as a timer does on a real host.
func (h *Host) RefreshLists() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.update()
	h.nodes[lists].modified = h.tick()
}

func (h *Host) aptInstall(c machine.Cmd) (string, error) {
	if len(h.pending) > 0 {
		return "", exit(c, 100, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
	}
	names := operands(c.Argv)
	for _, name := range names {
		if !slices.Contains(h.lists, name) {
			return "", exit(c, 100, "E: Unable to locate package "+name)
		}
	}
	var out strings.Builder
	for _, name := range names {
		fmt.Fprintf(&out, "Setting up %s (%s) ...\n", name, h.Available[name].Version)
		h.configure(name)
	}
	return out.String(), nil
}

// configure is the end of an installation: the package's unit is there, enabled
// and running.
func (h *Host) configure(name string) {
	h.setPackage(name, "installed")
	if program := h.Available[name].Program; program != "" {
		h.PutLocked(program, "program", 0o755)
	}
	unit := h.Available[name].Unit
	if unit == "" {
		return
	}
	h.put(packagedUnits+"/"+unit, []byte("[Service]\n"), 0o644)
	systemd{h}.load(unit)
	h.nodes[wants(unit)] = &node{mode: 0o777, owner: "root", group: "root"}
	h.runs[unit] = runState{active: true, since: h.tick()}
}

func (h *Host) setPackage(name, state string) {
	var kept []string
	for p := range strings.SplitSeq(string(h.nodes[statusPath].content), "\n\n") {
		if p = strings.TrimSpace(p); p != "" && !strings.HasPrefix(p, "Package: "+name+"\n") {
			kept = append(kept, p)
		}
	}
	kept = append(kept, fmt.Sprintf("Package: %s\nStatus: install ok %s\nVersion: %s", name, state, h.Available[name].Version))
	slices.Sort(kept)
	h.nodes[statusPath].content = []byte(strings.Join(kept, "\n\n") + "\n")
}
