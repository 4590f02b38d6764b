package yamldoc

import (
	"bytes"
	"slices"

	"go.yaml.in/yaml/v3"
)

// NewText returns a node that is text, whatever it looks like.
func NewText(s string) *Node { return &Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }

// NewNumber returns a node that is a whole number, in decimal digits.
func NewNumber(digits string) *Node {
	return &Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: digits}
}

// NewBool returns a node that is true or false.
func NewBool(b bool) *Node {
	n := &Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}
	if b {
		n.Value = "true"
	}
	return n
}

// NewList returns a list of these items.
func NewList(items ...*Node) *Node {
	return &Node{Kind: yaml.SequenceNode, Tag: "!!seq", Content: items}
}

// NewMapping returns a mapping without entries.
func NewMapping() *Node { return &Node{Kind: yaml.MappingNode, Tag: "!!map"} }

// SetEntry gives a mapping an entry, as its last one; another with this key is removed.
func SetEntry(mapping *Node, key string, v *Node) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			break
		}
	}
	mapping.Content = append(mapping.Content, NewText(key), v)
}

// Encode writes a node as YAML, indented by two.
func Encode(n *Node) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
