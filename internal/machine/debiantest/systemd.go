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

// systemd is the part of a host that runs units.
type systemd struct{ host *Host }

// systemctl knows show, daemon-reload, enable, disable, mask, unmask, start,
// restart and stop. As with the real one, a unit is read when it is first asked
// for and a changed file only counts after daemon-reload.
func (s systemd) systemctl(c machine.Cmd) (string, error) {
	args := operands(c.Argv)
	if c.Argv[1] == "show" {
		return s.show(args), nil
	}
	switch args[0] {
	case "daemon-reload":
		for name := range s.host.loaded {
			s.load(name)
		}
		return "", nil
	case "enable":
		s.host.nodes[wants(args[1])] = &node{mode: 0o777, owner: "root", group: "root"}
	case "disable":
		delete(s.host.nodes, wants(args[1]))
	case "mask":
		delete(s.host.nodes, wants(args[1]))
		s.host.nodes[masked(args[1])] = &node{mode: 0o777, owner: "root", group: "root"}
	case "unmask":
		delete(s.host.nodes, masked(args[1]))
	case "try-reload-or-restart":
		if args[1] == "ssh.service" && s.host.runs[args[1]].active {
			sshd(s).reread()
		}
	case "start", "restart":
		return "", s.start(c, args[1])
	case "stop":
		s.host.runs[args[1]] = runState{}
	default:
		return "", exit(c, 1, "Unknown command verb "+args[0])
	}
	if file, _ := s.unitFile(args[1]); file == nil {
		return "", exit(c, 1, "Unit file "+args[1]+" does not exist.")
	}
	return "", nil
}

func wants(unit string) string  { return unitDir + "/multi-user.target.wants/" + unit }
func masked(unit string) string { return unitDir + "/" + unit + "=/dev/null" }

func (s systemd) unitFile(name string) (*node, bool) {
	for _, dir := range []string{unitDir, packagedUnits} {
		if n := s.host.nodes[dir+"/"+name]; n != nil {
			return n, s.host.nodes[masked(name)] != nil
		}
	}
	return nil, false
}

func (s systemd) load(name string) {
	if file, _ := s.unitFile(name); file != nil {
		s.host.loaded[name] = loadedUnit{modified: file.modified}
		return
	}
	delete(s.host.loaded, name)
}

func (s systemd) start(c machine.Cmd, name string) error {
	file, isMasked := s.unitFile(name)
	if file == nil || isMasked {
		return exit(c, 5, "Failed to start "+name+": Unit "+name+" not found or masked.")
	}
	if strings.Contains(string(file.content), "ConditionVirtualization=!container") {
		s.host.runs[name] = runState{skipped: true, since: s.host.tick()}
		return nil
	}
	s.host.runs[name] = runState{active: true, since: s.host.tick()}
	return nil
}

func (s systemd) show(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString("\n")
		}
		file, isMasked := s.unitFile(name)
		if file == nil {
			b.WriteString("LoadState=not-found\nActiveState=inactive\nSubState=dead\nUnitFileState=\nNeedDaemonReload=no\nConditionResult=no\nConditionTimestamp=\nActiveEnterTimestamp=\n")
			continue
		}
		if _, read := s.host.loaded[name]; !read {
			s.load(name)
		}
		s.showUnit(&b, name, file, isMasked)
	}
	return b.String()
}

func (s systemd) showUnit(b *strings.Builder, name string, file *node, isMasked bool) {
	run := s.host.runs[name]
	load, state := "loaded", "disabled"
	if s.host.nodes[wants(name)] != nil {
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
	if file.modified.After(s.host.loaded[name].modified) {
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
	if at := listenStream(file); at != "" {
		fmt.Fprintf(b, "Listen=%s (Stream)\n", at)
	}
}

// Start starts a unit, as if it had run before the test began.
func (h *Host) Start(unit string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	systemd{h}.load(unit)
	h.runs[unit] = runState{active: true, since: h.tick()}
}

// Started returns when a unit was last started, the zero time for never.
func (h *Host) Started(unit string) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.runs[unit].since
}
