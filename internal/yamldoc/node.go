package yamldoc

import (
	"iter"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// Find returns the node at the end of a path of keys and item numbers, through aliases;
// nil when there is none.
func Find(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if n = Resolve(n); n == nil {
			return nil
		}
		if i, err := strconv.Atoi(key); n.Kind == yaml.SequenceNode {
			if err != nil || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
			continue
		}
		_, n = Lookup(n, key)
	}
	return n
}

// Lookup returns a mapping's own key and value nodes, nil when it has none.
func Lookup(n *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// Entries yields a mapping's own keys with their values, through an alias; nothing of
// anything else.
func Entries(n *Node) iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		n := Resolve(n)
		for i := 0; n != nil && IsMapping(n) && i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// Merged yields a mapping's keys with their values, its own first and then those that
// it merges (<<).
func Merged(n *Node) iter.Seq2[string, *Node] {
	return func(yield func(string, *Node) bool) {
		visitMerged(n, 0, yield)
	}
}

// visitMerged yields what a mapping has, or each mapping of a list that is merged.
func visitMerged(n *Node, depth int, yield func(string, *Node) bool) bool {
	const deepest = 20 // a mapping that merges its own parent has no end
	if depth > deepest {
		return true
	}
	if depth > 0 {
		for _, item := range Items(n) {
			if !visitMerged(item, depth+1, yield) {
				return false
			}
		}
	}
	for key, value := range Entries(n) {
		next := func() bool { return yield(key, value) }
		if key == "<<" {
			next = func() bool { return visitMerged(value, depth+1, yield) }
		}
		if !next() {
			return false
		}
	}
	return true
}

// Items returns a list's items, through an alias; none of anything else.
func Items(n *Node) []*Node {
	if n = Resolve(n); n == nil || !IsList(n) {
		return nil
	}
	return n.Content
}

// ValueOf returns a scalar's text, through an alias; "" of anything else.
func ValueOf(n *Node) string {
	if n = Resolve(n); n == nil || !IsScalar(n) {
		return ""
	}
	return n.Value
}

// Resolve returns the node that an alias stands for; any other is itself.
func Resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

// A Node is a value in a YAML document.
type Node = yaml.Node

// Empty returns an empty mapping that begins the file.
func Empty() *Node { return &Node{Kind: yaml.MappingNode, Line: 1, Column: 1} }

// IsMapping reports whether a node has keys.
func IsMapping(n *Node) bool { return n.Kind == yaml.MappingNode }

// IsList reports whether a node has items.
func IsList(n *Node) bool { return n.Kind == yaml.SequenceNode }

// IsScalar reports whether a node is text, a number, a truth value or nothing.
func IsScalar(n *Node) bool { return n.Kind == yaml.ScalarNode }

// IsNull reports whether nothing is written where a value could be.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// KindOf names what a node is, as a message says it.
func KindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing"
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!str":
		return "text"
	}
	return "a value tagged " + n.ShortTag()
}
