package hostprep

import (
	"context"
	_ "embed"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/resource"
)

// unattended is the package that installs upgrades.
const unattended = "unattended-upgrades"

// Files of the area. apt reads its folder in order and the last one counts, so the name comes after those of the
// distribution (20auto-upgrades, 50unattended-upgrades).
const (
	upgradesFile = "/etc/apt/apt.conf.d/60salvor"
	journalFile  = "/etc/systemd/journald.conf.d/60-salvor.conf"
)

//go:embed upgrades-debian.conf
var upgradesDebian []byte

//go:embed upgrades-ubuntu.conf
var upgradesUbuntu []byte

//go:embed journald.conf
var journal []byte

// updates have security upgrades install themselves and bound the journal; the host is never rebooted for them.
// The package comes after install, which stacks wait for. apt's timers are started where someone has stopped or masked
// them.
func updates(f Facts, install string) []converge.Resource {
	upgrades := resource.Packages{Name: "updates", List: packages(unattended), After: []string{install}}
	content := upgradesDebian
	if f.OS.ID == "ubuntu" {
		content = upgradesUbuntu
	}
	all := []converge.Resource{
		upgrades,
		resource.File{Path: upgradesFile, Content: content, Mode: 0o644},
		resource.Directory{Path: "/etc/systemd/journald.conf.d", Mode: 0o755},
		resource.File{Path: journalFile, Content: journal, Mode: 0o644},
		resource.Unit{Name: "systemd-journald.service", Run: resource.Running, RestartOn: []string{journalFile}},
	}
	for _, timer := range []string{"apt-daily.timer", "apt-daily-upgrade.timer"} {
		all = append(all, resource.Unit{Name: timer, Boot: resource.Enabled, Run: resource.Running, Needs: []string{upgrades.ID(), "file " + upgradesFile}})
	}
	return all
}

// Where packages of Debian and Ubuntu note that they want a reboot.
const (
	rebootFile     = "/run/reboot-required"
	rebootPackages = "/run/reboot-required.pkgs"
)

// RebootRequired reports whether something that is installed counts only after a reboot, and which packages say so,
// each once, as far as they do.
func RebootRequired(ctx context.Context, m machine.Machine) (required bool, packages []string, err error) {
	if _, err := m.ReadFile(ctx, rebootFile); errors.Is(err, fs.ErrNotExist) {
		return false, nil, nil
	} else if err != nil {
		return false, nil, err
	}
	listed, err := readOptional(ctx, m, rebootPackages)
	names := strings.Fields(listed)
	slices.Sort(names)
	return true, slices.Compact(names), err
}
