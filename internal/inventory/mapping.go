package inventory

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/yamldoc"
)

// A mapping is one of a Compose file that is being written. What says nothing is left out.
type mapping struct{ *yamldoc.Node }

func newMapping() mapping { return mapping{yamldoc.NewMapping()} }

// entry adds a node, also an empty one.
func (m mapping) entry(key string, n mapping) { yamldoc.SetEntry(m.Node, key, n.Node) }

// part adds a mapping that has entries.
func (m mapping) part(key string, n mapping) {
	if len(n.Content) > 0 {
		m.entry(key, n)
	}
}

// literal is a text that Compose takes as it is: it interpolates every value.
func literal(s string) *yamldoc.Node { return yamldoc.NewText(strings.ReplaceAll(s, "$", "$$")) }

func (m mapping) text(key, s string) {
	if s != "" {
		yamldoc.SetEntry(m.Node, key, literal(s))
	}
}

func (m mapping) number(key string, n int64) {
	if n != 0 {
		yamldoc.SetEntry(m.Node, key, yamldoc.NewNumber(strconv.FormatInt(n, 10)))
	}
}

func (m mapping) truth(key string, b bool) {
	if b {
		yamldoc.SetEntry(m.Node, key, yamldoc.NewBool(true))
	}
}

func (m mapping) texts(key string, all []string) {
	if len(all) > 0 {
		m.list(key, all)
	}
}

// list adds a list, also an empty one.
func (m mapping) list(key string, all []string) {
	var items []*yamldoc.Node
	for _, s := range all {
		items = append(items, literal(s))
	}
	yamldoc.SetEntry(m.Node, key, yamldoc.NewList(items...))
}

func (m mapping) pairs(key string, all map[string]string) {
	of := newMapping()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		yamldoc.SetEntry(of.Node, name, literal(all[name]))
	}
	m.part(key, of)
}
