package resource

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Mount is a mounted file system, now and after every boot, as a systemd mount unit
// of its own: unlike a line in fstab it is a file that nothing else edits, and other
// units can wait for it. Type and Options are those of mount(8), "" for Type where the kernel finds out. systemd makes the
// folder that it covers; that one is not a Directory, whose mode would be read from
// what is mounted there.
type Mount struct {
	What    string
	Where   string
	Type    string
	Options string
	Boot    Boot // what the unit does at boot, Enabled for ""
	Later   bool // what is mounted may be out of reach: something else starts the unit, and again until it is there
	Needs   []string
}

var _ converge.Resource = Mount{}

// ID returns "mount WHERE".
func (m Mount) ID() string { return "mount " + m.Where }

// Links puts the mount behind the parent of the folder it covers.
func (m Mount) Links() converge.Links {
	return converge.Links{Needs: m.Needs, After: []string{directoryID(path.Dir(m.Where))}, Looks: looksOf(m.file(), m.unit())}
}

func (m Mount) unit() Unit {
	u := Unit{Name: MountUnit(m.Where), Boot: cmp.Or(m.Boot, Enabled), Run: Running}
	if m.Later {
		u.Run = ""
	}
	return u
}

// MountUnit is the name of the unit that mounts at a folder.
func MountUnit(where string) string { return EscapePath(where) + ".mount" }

const mountUnits = "/etc/systemd/system/"

// MountedAt returns the folder of a mount unit's file that a Mount has written.
func MountedAt(content string) (where string, ours bool) {
	for line := range strings.Lines(content) {
		if described, is := strings.CutPrefix(strings.TrimSpace(line), "Description="); is {
			return strings.CutSuffix(described, mountMark)
		}
	}
	return "", false
}

// mountMark ends the description of units that a Mount has written.
const mountMark = " (Salvor)"

func (m Mount) file() File {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=%s%s\n\n[Mount]\nWhat=%s\nWhere=%s\n", m.Where, mountMark, m.What, m.Where)
	if m.Type != "" {
		fmt.Fprintf(&b, "Type=%s\n", m.Type)
	}
	if m.Options != "" {
		fmt.Fprintf(&b, "Options=%s\n", m.Options)
	}
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return File{Path: mountUnits + m.unit().Name, Content: []byte(b.String()), Mode: 0o644}
}

// Diff compares the unit's file and state. Changed options mount it again.
func (m Mount) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	return diffParts(ctx, h, m.file(), m.unit())
}

// EscapePath makes a unit name of a path, as `systemd-escape --path` does.
func EscapePath(p string) string {
	trimmed := strings.Trim(p, "/")
	if trimmed == "" {
		return "-"
	}
	var b strings.Builder
	for i := range len(trimmed) {
		c := trimmed[i]
		switch {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i > 0, c == '_', c == ':', c >= '0' && c <= '9', c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
