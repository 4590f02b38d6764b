package observe

import (
	"context"
	"fmt"
	"strings"
	"time"

	"salvor/internal/machine"
)

// A Unit is the state of a systemd unit.
type Unit struct {
	Load         string // "loaded", "not-found", "masked", …
	Active       string // "active", "inactive", "failed", "activating", …
	Sub          string // "running", "exited", "auto-restart", …
	FileState    string // "enabled", "disabled", "static", "masked", … or ""
	NeedReload   bool   // its file changed since systemd read it
	SkippedStart bool   // the last start was skipped because a condition does not hold here
	Since        time.Time
}

// Exists reports whether systemd knows a unit of that name.
func (u Unit) Exists() bool { return u.Load != "not-found" && u.Load != "" }

const unitProperties = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,ConditionResult,ConditionTimestamp,ActiveEnterTimestamp"

// readUnits asks systemd for all units at once: one call costs what one unit
// costs. The answer has one block per name, in the order asked, also for names
// that don't exist.
func readUnits(ctx context.Context, m machine.Machine, names []string) (map[string]Unit, error) {
	if len(names) == 0 {
		return map[string]Unit{}, nil
	}
	argv := append([]string{"systemctl", "show", "--timestamp=us+utc", "--property=" + unitProperties, "--"}, names...)
	out, err := m.Run(ctx, machine.Cmd{Argv: argv, Timeout: deadline})
	if err != nil {
		return nil, fmt.Errorf("ask systemd for units: %w", err)
	}
	blocks, err := ParseUnits(out.Stdout)
	if err != nil {
		return nil, err
	}
	if len(blocks) != len(names) {
		return nil, fmt.Errorf("systemctl show: %d answers for %d units", len(blocks), len(names))
	}
	units := map[string]Unit{}
	for i, name := range names {
		units[name] = blocks[i]
	}
	return units, nil
}

// ParseUnits reads the blocks that `systemctl show` prints, separated by empty lines.
// Properties it does not know are skipped.
func ParseUnits(out []byte) ([]Unit, error) {
	var units []Unit
	for block := range strings.SplitSeq(string(out), "\n\n") {
		if strings.TrimSpace(block) == "" {
			continue
		}
		u, err := parseUnit(block)
		if err != nil {
			return nil, fmt.Errorf("systemctl show: %w", err)
		}
		units = append(units, u)
	}
	return units, nil
}

func parseUnit(block string) (u Unit, err error) {
	values := map[string]string{}
	for line := range strings.Lines(block) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		values[key] = value
	}
	u = Unit{
		Load:         values["LoadState"],
		Active:       values["ActiveState"],
		Sub:          values["SubState"],
		FileState:    values["UnitFileState"],
		NeedReload:   values["NeedDaemonReload"] == "yes",
		SkippedStart: values["ConditionResult"] == "no" && values["ConditionTimestamp"] != "",
	}
	if u.Load == "" {
		return Unit{}, fmt.Errorf("no LoadState in %q", block)
	}
	if since := values["ActiveEnterTimestamp"]; since != "" {
		u.Since, err = time.Parse("Mon 2006-01-02 15:04:05.999999 MST", since)
	}
	return u, err
}
