package compose

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what a Compose file expands to through its aliases: compose-go
// writes each of them out, and a few lines of YAML can fill the memory.
const maxNodes = 200_000

// bounded reports a document that expands beyond maxNodes, or whose alias contains
// itself.
func bounded(name string, doc *yaml.Node) error {
	sizes := map[*yaml.Node]int{}
	size, at := expanded(doc, sizes)
	switch {
	case at != nil:
		return fmt.Errorf("%s:%d:%d: the alias *%s contains itself", name, at.Line, at.Column, at.Value)
	case size > maxNodes:
		return fmt.Errorf("%s: the file expands to more than %d values through its aliases", name, maxNodes)
	}
	return nil
}

// expanded returns how many nodes stand for n once its aliases are written out, at
// most one more than maxNodes, or the alias that contains itself. sizes has what is
// known, and a negative number for what is being counted.
func expanded(n *yaml.Node, sizes map[*yaml.Node]int) (size int, loop *yaml.Node) {
	of := n
	if n.Kind == yaml.AliasNode {
		of = n.Alias
	}
	switch known := sizes[of]; {
	case known < 0:
		return 0, n
	case known > 0:
		return known, nil
	}
	sizes[of] = -1
	size = 1
	for _, child := range of.Content {
		more, loop := expanded(child, sizes)
		if loop != nil {
			return 0, loop
		}
		size = min(size+more, maxNodes+1)
	}
	sizes[of] = size
	return size, nil
}
