package controlrepo

import (
	"go.yaml.in/yaml/v3"
)

// A pair is one entry of a mapping.
type pair struct{ key, value *yaml.Node }

// A reader walks over the nodes of one file and collects problems.
type reader struct {
	*problemList
	file  string
	at    places
	spent int
	depth int
	open  map[*yaml.Node]bool // aliases being followed, to find one that contains itself
}

func newReader(file string, problems *problemList) *reader {
	return &reader{problemList: problems, file: file, at: places{}, open: map[*yaml.Node]bool{}}
}

func (r *reader) position(n *yaml.Node) Position { return Position{r.file, n.Line, n.Column} }

func (r *reader) fail(n *yaml.Node, format string, args ...any) {
	r.add(r.position(n), format, args...)
}

// follow calls visit with the node that n stands for. It reports aliases that
// contain themselves and files that expand beyond maxNodes or maxDepth, and then
// does not call visit.
func (r *reader) follow(n *yaml.Node, visit func(*yaml.Node)) {
	r.depth++
	defer func() { r.depth-- }()
	if r.depth > maxDepth {
		if r.spent <= maxNodes {
			r.fail(n, "more than %d values within each other", maxDepth)
		}
		r.spent = maxNodes + 1 // one report is enough
		return
	}
	if r.spent++; r.spent > maxNodes {
		if r.spent == maxNodes+1 {
			r.fail(n, "the file expands to more than %d values through its aliases", maxNodes)
		}
		return
	}
	if n.Kind != yaml.AliasNode {
		visit(n)
		return
	}
	if r.open[n.Alias] {
		r.fail(n, "the alias *%s contains itself", n.Value)
		return
	}
	r.open[n.Alias] = true
	defer delete(r.open, n.Alias)
	r.follow(n.Alias, visit)
}

// pairs returns the entries of a mapping in the order of the file, with merge
// keys (<<) resolved: what stands in the mapping itself wins, then the earlier
// of several merged mappings. It reports keys that are no text and keys that
// stand there twice.
func (r *reader) pairs(n *yaml.Node) []pair {
	var own, merged []pair
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			merged = append(merged, r.merged(value)...)
			continue
		}
		r.follow(key, func(k *yaml.Node) {
			switch line, twice := seen[k.Value]; {
			case k.Kind != yaml.ScalarNode:
				r.fail(key, "found %s as a key, want text", kindOf(k))
			case twice:
				r.fail(key, "the key %q stands here twice, first in line %d", k.Value, line)
			default:
				seen[k.Value] = key.Line
				own = append(own, pair{k, value})
			}
		})
	}
	for _, p := range merged {
		if _, taken := seen[p.key.Value]; !taken {
			seen[p.key.Value] = p.key.Line
			own = append(own, p)
		}
	}
	return own
}

// merged returns the entries that the value of a merge key brings.
func (r *reader) merged(value *yaml.Node) []pair {
	var all []pair
	r.follow(value, func(v *yaml.Node) {
		switch v.Kind {
		case yaml.MappingNode:
			all = r.pairs(v)
		case yaml.SequenceNode:
			for _, item := range v.Content {
				all = append(all, r.merged(item)...)
			}
		default:
			r.fail(value, "found %s to merge (<<), want a mapping", kindOf(v))
		}
	})
	return all
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// mapping returns the entries of a mapping. Nothing has none; anything else is reported.
func (r *reader) mapping(n *yaml.Node, at path) []pair {
	if n.Kind == yaml.MappingNode {
		return r.pairs(n)
	}
	if !isNull(n) {
		r.fail(n, "%s is %s, want a mapping", at.orFile(), kindOf(n))
	}
	return nil
}
