package scan

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxDepth is more than anyone nests by hand, maxVisits more than any file by hand
// expands to through its aliases: a few lines of YAML can continue for years.
const (
	maxDepth  = 100
	maxVisits = 1_000_000
)

// yaml returns the secrets that YAML keys name. What does not parse is read line
// by line.
func (s *Scanner) yaml(t *text) []hit {
	w := &walk{scanner: s, text: t, breaks: s.formats.yamlBreak.FindAllStringIndex(t.content, -1), seen: map[*yaml.Node]bool{}}
	for dec := yaml.NewDecoder(strings.NewReader(t.content)); ; {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return w.hits
		}
		if err != nil {
			return s.lines(t)
		}
		if w.node(&doc, place{}); w.visits > maxVisits {
			return s.lines(t)
		}
	}
}

// A walk goes through the nodes of one file, each once however many aliases
// lead to it.
type walk struct {
	scanner *Scanner
	text    *text
	breaks  [][]int // YAML's line breaks are more than the newline
	seen    map[*yaml.Node]bool
	visits  int
	hits    []hit
}

// A place is how a node was reached.
type place struct {
	key    string // whose value it is, "" in a list
	remote bool   // an option of a remote or of another service of the fleet
	depth  int
}

func (w *walk) node(n *yaml.Node, at place) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if w.visits++; w.visits > maxVisits || n == nil || at.depth > maxDepth || w.seen[n] && at.key == "" {
		return
	}
	switch w.seen[n] = true; n.Kind {
	case yaml.ScalarNode:
		w.scalar(n, at)
	case yaml.SequenceNode:
		w.sequence(n, at)
	case yaml.MappingNode:
		w.mapping(n, at)
	case yaml.DocumentNode:
		for _, child := range n.Content {
			w.node(child, place{depth: at.depth + 1})
		}
	}
}

func (w *walk) mapping(n *yaml.Node, at place) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		child := place{key: key, remote: at.remote, depth: at.depth + 1}
		if isFleet(w.text.path) && at.depth == 1 {
			child.remote = key == "remotes" || key == "tailnet" || key == "ingress"
		}
		if isFleet(w.text.path) && at.depth == 2 && at.key == "tailnet" && key == "key" {
			child.remote = false // the public key of an apt repository
		}
		w.node(n.Content[i+1], child)
	}
}

// sequence reads a list: KEY=VALUE, words of a command, more nodes.
func (w *walk) sequence(n *yaml.Node, at place) {
	for i, item := range n.Content {
		child := place{remote: at.remote, depth: at.depth + 1}
		if i > 0 && n.Content[i-1].Kind == yaml.ScalarNode {
			if m := w.scanner.assigned.bare.FindStringSubmatch(n.Content[i-1].Value); m != nil && !strings.HasPrefix(item.Value, "-") {
				child.key = m[1]
			}
		}
		w.node(item, child)
	}
}

// scalar looks at one value. Tags of other programs, such as !secret and !vault,
// say that the value is a name or ciphertext.
func (w *walk) scalar(n *yaml.Node, at place) {
	if foreign := strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"); foreign || n.ShortTag() == "!!null" || n.ShortTag() == "!!bool" {
		return
	}
	start := w.offset(n)
	explained := isExample(w.text.path)
	key, skip := at.key, 0
	if pair := w.scanner.formats.assignment.FindString(n.Value); key == "" && pair != "" {
		key, skip = strings.TrimSuffix(pair, "="), len(pair)
	}
	m := w.scanner.keys.meaning(key, at.remote)
	if from, to, found := w.scanner.values.in(n.Value[skip:], m, explained); found {
		begin, end := w.locate(start, n.Value, skip+from, skip+to)
		h := w.scanner.plain(key, n.Value[skip+from:skip+to], begin)
		h.end = end
		w.hits = append(w.hits, h)
	}
	if m != harmless {
		return
	}
	for _, h := range w.scanner.inside(n.Value, explained) {
		h.start, h.end = w.locate(start, n.Value, h.start, h.end)
		w.hits = append(w.hits, h)
	}
}

// offset returns the byte at which a node begins.
func (w *walk) offset(n *yaml.Node) int {
	at := 0
	if row := min(n.Line-1, len(w.breaks)); row > 0 {
		at = w.breaks[row-1][1]
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRuneInString(w.text.content[at:])
		at += size
	}
	return at
}

// locate finds bytes of a scalar's value in the file. Escapes and folded lines make
// the two differ; then it is the nearest place where they are, or else the scalar's
// own.
func (w *walk) locate(start int, value string, from, to int) (begin, end int) {
	rest := w.text.content[start:]
	for quote := range 2 {
		if quote <= len(rest) && strings.HasPrefix(rest[quote:], value[:to]) {
			return start + quote + from, start + quote + to
		}
	}
	// No further than the value can reach, with its escapes and indentation.
	rest = rest[:min(len(rest), 8*len(value)+200)]
	if i := strings.Index(rest, value[from:to]); i >= 0 {
		return start + i, start + i + to - from
	}
	return start, min(start+max(to-from, 1), len(w.text.content))
}
