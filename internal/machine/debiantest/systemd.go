package debiantest

import (
	"fmt"
	"strings"
	"time"

	"salvor/internal/machine"
)

const (
	unitDir       = "/etc/systemd/system"
	packagedUnits = "/usr/lib/systemd/system"
	timestamp     = "Mon 2006-01-02 15:04:05.000000 MST"
)

// systemctl knows show, daemon-reload, enable, disable, mask, unmask, start,
// restart and stop. As with the real one, a unit is read when it is first asked
// for and a changed file only counts after daemon-reload.
func (h *Host) systemctl(c machine.Cmd) (string, error) {
	args := operands(c.Argv)
	if c.Argv[1] == "show" {
		return h.show(args), nil
	}
	switch args[0] {
	case "daemon-reload":
		for name := range h.loaded {
			h.load(name)
		}
		return "", nil
	case "enable":
		h.nodes[wants(args[1])] = &node{mode: 0o777, owner: "root", group: "root"}
	case "disable":
		delete(h.nodes, wants(args[1]))
	case "mask":
		delete(h.nodes, wants(args[1]))
		h.nodes[masked(args[1])] = &node{mode: 0o777, owner: "root", group: "root"}
	case "unmask":
		delete(h.nodes, masked(args[1]))
	case "start", "restart":
		return "", h.start(c, args[1])
	case "stop":
		h.runs[args[1]] = runState{}
	default:
		return "", exit(c, 1, "Unknown command verb "+args[0])
	}
	if file, _ := h.unitFile(args[1]); file == nil {
		return "", exit(c, 1, "Unit file "+args[1]+" does not exist.")
	}
	return "", nil
}

func wants(unit string) string  { return unitDir + "/multi-user.target.wants/" + unit }
func masked(unit string) string { return unitDir + "/" + unit + "=/dev/null" }

func (h *Host) unitFile(name string) (*node, bool) {
	for _, dir := range []string{unitDir, packagedUnits} {
		if n := h.nodes[dir+"/"+name]; n != nil {
			return n, h.nodes[masked(name)] != nil
		}
	}
	return nil, false
}

func (h *Host) load(name string) {
	if file, _ := h.unitFile(name); file != nil {
		h.loaded[name] = loadedUnit{modified: file.modified}
		return
	}
	delete(h.loaded, name)
}

func (h *Host) start(c machine.Cmd, name string) error {
	file, isMasked := h.unitFile(name)
	if file == nil || isMasked {
		return exit(c, 5, "Failed to start "+name+": Unit "+name+" not found or masked.")
	}
	if strings.Contains(string(file.content), "ConditionVirtualization=!container") {
		h.runs[name] = runState{skipped: true, since: h.tick()}
		return nil
	}
	h.runs[name] = runState{active: true, since: h.tick()}
	return nil
}

func (h *Host) show(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString("\n")
		}
		file, isMasked := h.unitFile(name)
		if file == nil {
			b.WriteString("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nNeedDaemonReload=no\nConditionResult=no\nConditionTimestamp=\nActiveEnterTimestamp=\n")
			continue
		}
		if _, read := h.loaded[name]; !read {
			h.load(name)
		}
		h.showUnit(&b, name, file, isMasked)
	}
	return b.String()
}

func (h *Host) showUnit(b *strings.Builder, name string, file *node, isMasked bool) {
	run := h.runs[name]
	load, state := "loaded", "disabled"
	if h.nodes[wants(name)] != nil {
		state = "enabled"
	}
	if isMasked {
		load, state = "masked", "masked"
	}
	active, sub, since := "inactive", "dead", ""
	if run.active {
		active, sub, since = "active", "running", run.since.Format(timestamp)
	}
	reload := "no"
	if file.modified.After(h.loaded[name].modified) {
		reload = "yes"
	}
	condition, tried := "no", ""
	if run.active || run.skipped {
		tried = run.since.Format(timestamp)
	}
	if run.active {
		condition = "yes"
	}
	fmt.Fprintf(b, "LoadState=%s\nActiveState=%s\nSubState=%s\nUnitFileState=%s\nNeedDaemonReload=%s\nConditionResult=%s\nConditionTimestamp=%s\nActiveEnterTimestamp=%s\n",
		load, active, sub, state, reload, condition, tried, since)
}

// Start starts a unit, as if it had run before the test began.
func (h *Host) Start(unit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.load(unit)
	h.runs[unit] = runState{active: true, since: h.tick()}
}

// Started returns when a unit was last started, the zero time for never.
func (h *Host) Started(unit string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[unit].since
}
