package yamldoc

import (
	"strconv"

	"go.yaml.in/yaml/v3"
)

// A Pair is one entry of a mapping.
type Pair struct{ Key, Value *yaml.Node }

// A Reader walks over the nodes of one file and collects problems.
type Reader struct {
	*Report
	File   string
	Places Places
	spent  int
	depth  int
	open   map[*yaml.Node]bool // aliases being followed, to find one that contains itself
}

// NewReader returns a reader of a file, whose problems go into a report.
func NewReader(file string, problems *Report) *Reader {
	return &Reader{Report: problems, File: file, Places: Places{}, open: map[*yaml.Node]bool{}}
}

// Position returns where a node is.
func (r *Reader) Position(n *yaml.Node) Position { return Position{r.File, n.Line, n.Column} }

// Fail reports a problem of a node.
func (r *Reader) Fail(n *yaml.Node, format string, args ...any) {
	r.Add(r.Position(n), format, args...)
}

// Follow calls visit with the node that n stands for. It reports aliases that
// contain themselves and files that expand beyond maxNodes or maxDepth, and then
// does not call visit.
func (r *Reader) Follow(n *yaml.Node, visit func(*yaml.Node)) {
	r.depth++
	defer func() { r.depth-- }()
	if r.depth > maxDepth {
		if r.spent <= maxNodes {
			r.Fail(n, "more than %d levels of nested values", maxDepth)
		}
		r.spent = maxNodes + 1 // one report is enough
		return
	}
	if r.spent++; r.spent > maxNodes {
		if r.spent == maxNodes+1 {
			r.Advise(r.Position(n), "use fewer aliases within each other", "the file expands to more than %d values through its aliases", maxNodes)
		}
		return
	}
	if n.Kind != yaml.AliasNode {
		visit(n)
		return
	}
	if r.open[n.Alias] {
		r.Advise(r.Position(n), "write out its value here", "the alias *%s contains itself", n.Value)
		return
	}
	r.open[n.Alias] = true
	defer delete(r.open, n.Alias)
	r.Follow(n.Alias, visit)
}

// Pairs returns the entries of a mapping in the order of the file, with merge keys
// (<<) resolved: what is in the mapping itself wins, then the earlier of several
// merged mappings. It reports keys that are not text and keys that are there twice.
func (r *Reader) Pairs(n *yaml.Node) []Pair {
	var own, merged []Pair
	seen := map[string]int{}
	var merges *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			if merges != nil {
				r.Advise(r.Position(key), "write <<: [*one, *other]", "the key << is here twice, first in line %d", merges.Line)
			}
			merges = key
			merged = append(merged, r.merged(value)...)
			continue
		}
		r.Follow(key, func(k *yaml.Node) {
			switch line, twice := seen[k.Value]; {
			case k.Kind == yaml.MappingNode && k.Style&yaml.FlowStyle != 0:
				r.all = append(r.all, TemplateProblem(r.Position(key), Template("{{")))
			case k.Kind != yaml.ScalarNode:
				r.Advise(r.Position(key), "write the key as text", "found %s as a key, want text", KindOf(k))
			case twice:
				r.Advise(r.Position(key), "remove one of the two, or put both values under one", "the key %q is here twice, first in line %d", k.Value, line)
			default:
				seen[k.Value] = key.Line
				own = append(own, Pair{k, value})
			}
		})
	}
	for _, p := range merged {
		if _, taken := seen[p.Key.Value]; !taken {
			seen[p.Key.Value] = p.Key.Line
			own = append(own, p)
		}
	}
	return own
}

// merged returns the entries that the value of a merge key brings.
func (r *Reader) merged(value *yaml.Node) []Pair {
	var all []Pair
	r.Follow(value, func(v *yaml.Node) {
		switch v.Kind {
		case yaml.MappingNode:
			all = r.Pairs(v)
		case yaml.SequenceNode:
			for _, item := range v.Content {
				all = append(all, r.merged(item)...)
			}
		default:
			r.Advise(r.Position(value), "name the anchor of a mapping", "found %s to merge (<<), want a mapping", KindOf(v))
		}
	})
	return all
}

func isMerge(key *yaml.Node) bool {
	return key.Kind == yaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// Mapping returns the entries of a mapping. Nothing has none; anything else is reported.
func (r *Reader) Mapping(n *yaml.Node, at Path) []Pair {
	if n.Kind == yaml.MappingNode {
		return r.Pairs(n)
	}
	if !IsNull(n) {
		r.Fail(n, "%s is %s, want a mapping", at.orFile(), KindOf(n))
	}
	return nil
}

// Walk visits every value below n with its path, as it will be decoded: through aliases
// and merges. It reports what has no one meaning: a key that is there twice, an alias
// without an end, a file that expands too far.
func (r *Reader) Walk(n *yaml.Node, at Path, visit func(n *yaml.Node, at Path)) {
	r.Follow(n, func(n *yaml.Node) {
		visit(n, at)
		switch n.Kind {
		case yaml.MappingNode:
			for _, p := range r.Pairs(n) {
				r.Walk(p.Value, at.To(p.Key.Value), visit)
			}
		case yaml.SequenceNode:
			for i, item := range n.Content {
				r.Walk(item, at.To(strconv.Itoa(i)), visit)
			}
		}
	})
}
