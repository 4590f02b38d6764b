package controlrepo

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// find returns the node at a path, nil when there is none.
func find(n *yaml.Node, at path) *yaml.Node {
	for _, key := range at {
		if n = resolve(n); n == nil {
			return nil
		}
		if i, err := strconv.Atoi(key); n.Kind == yaml.SequenceNode {
			if err != nil || i < 0 || i >= len(n.Content) {
				return nil
			}
			n = n.Content[i]
			continue
		}
		_, n = entryOf(n, key)
	}
	return n
}

// entryOf returns a mapping's own key and value nodes, nil when it has none.
func entryOf(n *yaml.Node, key string) (k, v *yaml.Node) {
	for i := 0; n != nil && n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func resolve(n *yaml.Node) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// kindOf names what a node is, as a message says it.
func kindOf(n *yaml.Node) string {
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
