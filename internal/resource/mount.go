package resource

import (
	"context"
	"fmt"
	"path"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Mount is a mounted file system, now and after every boot, as a systemd mount unit
// of its own: unlike a line in fstab it is a file that nothing else edits, and other
// units can wait for it. Type and Options are those of mount(8). systemd makes the
// folder that it covers; that one is not a Directory, whose mode would be read from
// what is mounted there.
type Mount struct {
	What    string
	Where   string
	Type    string
	Options string
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
	return Unit{Name: EscapePath(m.Where) + ".mount", Boot: Enabled, Run: Running}
}

func (m Mount) file() File {
	var b strings.Builder
	fmt.Fprintf(&b, "[Unit]\nDescription=%s (Salvor)\n\n[Mount]\nWhat=%s\nWhere=%s\nType=%s\n", m.Where, m.What, m.Where, m.Type)
	if m.Options != "" {
		fmt.Fprintf(&b, "Options=%s\n", m.Options)
	}
	b.WriteString("\n[Install]\nWantedBy=multi-user.target\n")
	return File{Path: "/etc/systemd/system/" + m.unit().Name, Content: []byte(b.String()), Mode: 0o644}
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
