package controlrepo

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxNodes bounds what one file may expand to through aliases, so that a few
// lines of YAML cannot fill the memory.
const maxNodes = 200_000

// maxDepth bounds how deep values are within each other: a mapping that merges (<<)
// its own parent has no end.
const maxDepth = 200

var yamlErrorLine = regexp.MustCompile(`^line (\d+): `)

// parse returns the root node of the one document in content: nil for an empty
// file.
func parse(file string, content []byte) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxProblem(file, err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Problem{Position: Position{file, second.Line, second.Column}, Text: "a second YAML document starts here, want one only"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(file, err)
	}
	return doc.Content[0], nil
}

// syntaxProblem puts the parser's message in our shape. The parser knows no
// column, and counts lines from 0 where it is the grammar and not a character
// that it stumbled over.
func syntaxProblem(file string, err error) *Problem {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	pos := Position{File: file}
	if m := yamlErrorLine.FindStringSubmatch(text); m != nil {
		pos.Line, _ = strconv.Atoi(m[1]) // digits by the pattern; one that overflows leaves the file as a whole
		text = text[len(m[0]):]
		if strings.HasPrefix(text, "did not find expected") {
			pos.Line++
		}
	}
	return &Problem{Position: pos, Text: "not valid YAML: " + text}
}

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
			r.fail(n, "more than %d levels of nested values", maxDepth)
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

// pairs returns the entries of a mapping in the order of the file, with merge keys
// (<<) resolved: what is in the mapping itself wins, then the earlier of several
// merged mappings. It reports keys that are not text and keys that are there twice.
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
				r.fail(key, "the key %q is here twice, first in line %d", k.Value, line)
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

// places remembers where each value of a file is.
type places map[string]Position

// A path names a value in a file by its keys, list items by their number.
type path []string

// String shows the path as messages do: `hosts.alpha.port`.
func (p path) String() string { return strings.Join(p, ".") }

func (p path) to(key string) path { return append(p[:len(p):len(p)], key) }

func (p path) id() string { return strings.Join(p, "\x00") }

// of returns where the value is, or the nearest value around it.
func (m places) of(keys ...string) Position {
	for p := path(keys); ; p = p[:len(p)-1] {
		if pos, ok := m[p.id()]; ok || len(p) == 0 {
			return pos
		}
	}
}
