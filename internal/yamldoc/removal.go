package yamldoc

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Remove returns content without the key at a path, whose mapping stays, if need be
// as {}, or without the item of a list. Comments on its line are removed with it,
// those above it stay. Without that key nothing changes.
func Remove(content []byte, at Path) ([]byte, error) {
	return edit(content, at, func(before Flat) Flat { return before.without(at) },
		func(root *yaml.Node) [][]byte { return newSource(content).removals(root, at) })
}

// RemoveShared is Remove for a key, or an item of a list, that is merged into other places,
// too: each loses it.
func RemoveShared(content []byte, at Path, merged []Path) ([]byte, error) {
	goal := func(before Flat) Flat {
		for _, p := range append([]Path{at}, merged...) {
			before = before.without(p)
		}
		return before
	}
	return edit(content, at, goal, func(root *yaml.Node) [][]byte { return newSource(content).removals(root, at) })
}

// removals returns the texts that may be the removal wanted, the nicest first.
func (s *source) removals(root *yaml.Node, at Path) [][]byte {
	last := len(at) - 1
	parent := Resolve(Find(root, at[:last]...))
	if parent != nil && parent.Kind == yaml.SequenceNode {
		return s.removeItem(parent, at[last])
	}
	key, _ := Lookup(parent, at[last])
	switch {
	case key == nil:
		return nil
	case parent.Style&yaml.FlowStyle != 0:
		return s.removeFlow(parent, slices.Index(parent.Content, key), 2)
	case last == 0:
		return s.removeBlock(nil, parent, key)
	}
	holder, _ := Lookup(Resolve(Find(root, at[:last-1]...)), at[last-1])
	return s.removeBlock(holder, parent, key)
}

// removeBlock takes out the lines of an entry. The last one of a mapping leaves
// {} behind the mapping's own key.
func (s *source) removeBlock(holder, parent, key *yaml.Node) [][]byte {
	from := s.start[key.Line-1]
	end := len(s.text)
	if line := s.blockEnd(key, key.Column-1); line < len(s.start) {
		end = s.start[line]
	}
	if len(parent.Content) > 2 || holder == nil {
		return [][]byte{s.replace(from, end, "")}
	}
	colon := s.offset(holder)
	colon += bytes.IndexByte(s.text[colon:], ':') + 1
	if colon <= 0 || colon > from {
		return nil
	}
	empty := newSource(s.replace(from, end, ""))
	if anchor := "&" + parent.Anchor; parent.Anchor != "" {
		if i := bytes.Index(empty.text[colon:], []byte(anchor)); i >= 0 {
			colon += i + len(anchor)
		}
	}
	return [][]byte{empty.replace(colon, colon, " {}")}
}

// removeFlow takes an entry, of that many nodes, out of {…} or […], with the comma
// behind or before it.
func (s *source) removeFlow(parent *yaml.Node, index, size int) [][]byte {
	nodes, open := parent.Content, s.offset(parent)
	closing := s.closing(open)
	from := s.offset(nodes[index])
	switch {
	case closing == 0 || from <= open || from > closing:
		return nil
	case index+size < len(nodes):
		return [][]byte{s.replace(from, max(from, s.offset(nodes[index+size])), "")}
	case index == 0:
		return [][]byte{s.replace(open+1, closing, "")}
	}
	end := open + len(bytes.TrimRight(s.text[open:closing], " \t\r\n"))
	before := bytes.TrimRight(s.text[:from], " \t\r\n")
	return [][]byte{s.replace(len(bytes.TrimSuffix(before, []byte(","))), end, ""), s.replace(from, closing, "")}
}
