package yamldoc

import (
	"cmp"
	"fmt"
	"strings"
)

// A Position is a place in a file of the repository. Line and Column count from
// 1, columns in characters; Line 0 means the file as a whole, Column 0 the line.
type Position struct {
	File         string // relative to the repository, with slashes
	Line, Column int
}

// String returns `file:line:column`, without what is unknown.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// Places remembers where each value of a file stands.
type Places map[string]Position

// A Path names a value in a file by its keys, list items by their number.
type Path []string

// String shows the path as messages do: `hosts.alpha.port`.
func (p Path) String() string { return strings.Join(p, ".") }

// To returns the path of a key or an item below.
func (p Path) To(key string) Path { return append(p[:len(p):len(p)], key) }

// ID is the path as a key of maps.
func (p Path) ID() string { return strings.Join(p, "\x00") }

// Of returns where the value stands, or the nearest value around it.
func (m Places) Of(keys ...string) Position {
	for p := Path(keys); ; p = p[:len(p)-1] {
		if pos, ok := m[p.ID()]; ok || len(p) == 0 {
			return pos
		}
	}
}

func (p Path) orFile() string {
	if len(p) == 0 {
		return "the file"
	}
	return p.String()
}
