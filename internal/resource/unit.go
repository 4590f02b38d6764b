package resource

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// unitDeadline limits one systemctl call that starts or stops a unit: systemd's
// own limit is 90 s by default, and a unit may wait for another.
const unitDeadline = 5 * time.Minute

// Boot is what a unit does at boot.
type Boot string

// What a unit may do at boot; "" leaves it as it is.
const (
	Enabled  Boot = "enabled"
	Disabled Boot = "disabled"
	Masked   Boot = "masked" // can't be started at all; Run must be Stopped or ""
)

// Run is whether a unit runs now.
type Run string

// Whether a unit runs; "" leaves it as it is.
const (
	Running Run = "running"
	Stopped Run = "stopped"
)

// A Unit is the state of a systemd unit, named with its suffix. systemd reads
// its files again when they changed. A running unit is restarted when a path of
// RestartOn was changed after it was started, so a restart that a cut-short run
// owes is not forgotten. A unit that is skipped on this host because one of its
// conditions does not hold counts as running.
type Unit struct {
	Name      string
	Boot      Boot
	Run       Run
	RestartOn []string // paths
	Needs     []string
}

var _ converge.Resource = Unit{}

// ID returns "unit NAME".
func (u Unit) ID() string { return "unit " + u.Name }

// Links puts the unit behind its own file and those it restarts on.
func (u Unit) Links() converge.Links {
	follows := []string{fileID("/etc/systemd/system/" + u.Name)}
	for _, p := range u.RestartOn {
		follows = append(follows, fileID(p))
	}
	return converge.Links{Needs: u.Needs, Follows: follows, Looks: observe.Query{Paths: u.RestartOn, Units: []string{u.Name}}}
}

// Diff compares what the unit does at boot and whether it runs.
func (u Unit) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, err := h.Unit(ctx, u.Name)
	if err != nil {
		return nil, err
	}
	if !is.Exists() {
		return u.absent(h), nil
	}
	newer, err := u.newer(ctx, h, is)
	if err != nil {
		return nil, err
	}
	var causes []string
	if is.NeedReload {
		causes = append(causes, "its file changed since systemd read it")
	}
	if u.Boot != "" && !u.Boot.holds(is) {
		causes = append(causes, fmt.Sprintf("is %s, want %s", fileState(is), u.Boot))
	}
	if u.Run != "" && !u.Run.holds(is) {
		causes = append(causes, fmt.Sprintf("is %s (%s), want %s", is.Active, is.Sub, u.Run))
	}
	if newer != "" {
		causes = append(causes, "was started before "+newer+" changed")
	}
	restart := newer != "" || is.NeedReload
	change := because(causes, func(ctx context.Context, say func(string)) error {
		return u.set(ctx, h, is, restart)
	})
	if change != nil {
		change.Restarts = restart && u.Run == Running && is.Active == "active"
	}
	return change, nil
}

// absent is the state before the package or the file that brings the unit.
func (u Unit) absent(h *observe.Host) *converge.Change {
	if u.Boot != Enabled && u.Run != Running {
		return nil
	}
	return &converge.Change{Action: converge.Makes, Cause: u.Name + " is not there yet", Apply: quietly(func(ctx context.Context) error {
		if err := u.systemctl(ctx, h, "daemon-reload"); err != nil {
			return err
		}
		is, err := observe.New(h.Machine, observe.Query{Units: []string{u.Name}}).Unit(ctx, u.Name)
		if err != nil {
			return err
		}
		if !is.Exists() {
			return errors.New("there is no such unit: no installed package contains it")
		}
		return u.set(ctx, h, is, false)
	})}
}

// newer returns the first path that was changed after the unit was started. A
// time in the future says nothing: the clock was set back.
func (u Unit) newer(ctx context.Context, h *observe.Host, is observe.Unit) (string, error) {
	if u.Run != Running || is.Active != "active" {
		return "", nil
	}
	for _, p := range u.RestartOn {
		f, err := h.File(ctx, p)
		if err != nil {
			return "", err
		}
		if f.Exists && f.Modified.After(is.Since) && !f.Modified.After(h.Began()) {
			return p, nil
		}
	}
	return "", nil
}

func (b Boot) holds(is observe.Unit) bool {
	switch is.FileState {
	case string(b):
		return true
	case "static", "indirect", "generated", "alias", "transient": // systemd decides; nothing to enable
		return b == Enabled
	case "":
		return b == Disabled
	}
	return false
}

func (r Run) holds(is observe.Unit) bool {
	up := is.Active == "active" || is.Active == "reloading"
	if r == Running {
		return up || is.Active == "inactive" && is.SkippedStart
	}
	return !up && is.Active != "activating"
}

func fileState(is observe.Unit) string {
	if is.FileState == "" {
		return "without an [Install] section"
	}
	return is.FileState
}

// set makes the unit as wanted from any state it may be in.
func (u Unit) set(ctx context.Context, h *observe.Host, is observe.Unit, restart bool) error {
	if err := u.setBoot(ctx, h, is); err != nil {
		return err
	}
	switch {
	case u.Run == Running && restart && is.Active != "inactive":
		return u.systemctl(ctx, h, "restart", u.Name)
	case u.Run == Running && !u.Run.holds(is):
		// restart also ends a start that waits for its next attempt
		return u.systemctl(ctx, h, "restart", u.Name)
	case u.Run == Stopped && !u.Run.holds(is):
		return u.systemctl(ctx, h, "stop", u.Name)
	}
	return nil
}

func (u Unit) setBoot(ctx context.Context, h *observe.Host, is observe.Unit) error {
	if is.NeedReload {
		if err := u.systemctl(ctx, h, "daemon-reload"); err != nil {
			return err
		}
	}
	if u.Boot == "" || u.Boot.holds(is) {
		return nil
	}
	if is.FileState == string(Masked) {
		if err := u.systemctl(ctx, h, "unmask", u.Name); err != nil {
			return err
		}
	}
	verb := map[Boot]string{Enabled: "enable", Disabled: "disable", Masked: "mask"}[u.Boot]
	return u.systemctl(ctx, h, verb, u.Name)
}

func (u Unit) systemctl(ctx context.Context, m machine.Machine, args ...string) error {
	_, err := m.Run(ctx, machine.Cmd{Argv: append([]string{"systemctl", "--quiet"}, args...), Timeout: unitDeadline})
	return err
}
