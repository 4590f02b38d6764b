package ansiblevault

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// ErrByHand is wrapped by the error of a value that is written in a way that can't
// be replaced without changing more; nothing was changed.
var ErrByHand = errors.New("it can't be set without changing more of the file; edit it by hand")

// indent is how deep ansible-vault encrypt_string writes an envelope's lines.
const indent = 10

// tries bounds how many places are tried for a new value.
const tries = 200

var (
	yamlBreak = regexp.MustCompile(`\r\n|[\n\r\x{85}\x{2028}\x{2029}]`)
	plainKey  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	yamlWord  = regexp.MustCompile(`(?i)^(?:y|n|yes|no|on|off|true|false|null)$`)
)

// NewInline returns a new file with one value, which vault is the envelope of.
func NewInline(path, name string, vault []byte) ([]byte, error) {
	return (&Inline{path: path}).Set(name, vault)
}

// Set returns the file with one value replaced by a vault, or with a value added
// at the end of the mapping that its name leads to. Every other byte stays; the
// result is read again to prove that nothing else changed, and otherwise the error
// wraps ErrByHand.
func (f *Inline) Set(name string, vault []byte) ([]byte, error) {
	if name == "" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, ".") || strings.Contains(name, "..") || !utf8.ValidString(name) {
		return nil, fmt.Errorf("%s: %q is not a name for a value: write it like password or db.password", f.path, name)
	}
	e := edit{lines: newLines(f.text), vault: strings.Split(strings.TrimSpace(string(vault)), "\n")}
	target, found, err := f.find(name)
	if err != nil {
		return nil, err
	}
	if found {
		return f.replace(e, target)
	}
	return f.add(e, name)
}

func (f *Inline) replace(e edit, target value) ([]byte, error) {
	n := target.node
	if n.Kind != yaml.ScalarNode || n.Anchor != "" {
		return nil, f.fail(n, "%s is shared with other places or is not a single value: %w", target.name, ErrByHand)
	}
	candidates := e.scalar(n, column(target))
	if target.isVault() && n.Style&yaml.LiteralStyle != 0 {
		candidates = [][]byte{e.block(n)}
	}
	for _, text := range candidates {
		after, err := document(text)
		if err == nil && equal(f.root, after, func(a, b *yaml.Node) bool { return a == n && e.isAt(b) && a.LineComment == b.LineComment }) {
			return text, nil
		}
	}
	return nil, f.fail(n, "%s: %w", target.name, ErrByHand)
}

// column is where the line of a value begins: its key, or the item itself.
func column(v value) int {
	if v.key != nil {
		return v.key.Column
	}
	return v.node.Column
}

func (f *Inline) add(e edit, name string) ([]byte, error) {
	parent, rest, err := f.parent(name)
	if err != nil {
		return nil, err
	}
	if parent == nil {
		return e.insert(len(e.starts), 0, rest), nil
	}
	if parent.Style&yaml.FlowStyle != 0 || len(parent.Content) == 0 {
		return nil, f.fail(parent, "%s: a vault can't be inside {}: %w", name, ErrByHand)
	}
	grown := func(a, b *yaml.Node) bool {
		n := len(a.Content)
		return a == parent && b.Kind == yaml.MappingNode && len(b.Content) == n+2 && equalAll(a.Content, b.Content[:n]) && e.isBelow(b.Content[n], b.Content[n+1], rest)
	}
	depth, from := parent.Content[0].Column-1, lastLine(parent)
	for line := from; line <= min(from+tries, len(e.starts)); line++ {
		text := e.insert(line, depth, rest)
		if after, err := document(text); err == nil && equal(f.root, after, grown) {
			return text, nil
		}
	}
	return nil, f.fail(parent, "%s: %w", name, ErrByHand)
}

// parent returns the mapping that a new value goes into, nil for an empty file,
// and the keys that are missing there.
func (f *Inline) parent(name string) (parent *yaml.Node, rest []string, err error) {
	parent, left := f.root, name
	for _, v := range f.all {
		if below, leads := strings.CutPrefix(name, v.name+"."); leads && len(below) < len(left) {
			parent, left = v.node, below
		}
	}
	if parent != nil && parent.Kind != yaml.MappingNode {
		return nil, nil, f.fail(parent, "%s: there is no mapping to put it into: %w", name, ErrByHand)
	}
	return parent, strings.Split(left, "."), nil
}

// lastLine returns the last line of a node, counted from 1, as far as the tree shows
// it.
func lastLine(n *yaml.Node) int {
	last := n.Line
	if n.Kind == yaml.ScalarNode && n.Style&yaml.LiteralStyle != 0 {
		last += strings.Count(strings.TrimRight(n.Value, "\n"), "\n") + 1
	}
	for _, child := range n.Content {
		last = max(last, lastLine(child))
	}
	return last
}

// equal reports whether two trees say the same, nodes for which allowed speaks
// apart. Where they stand and how they are written does not count.
func equal(a, b *yaml.Node, allowed func(a, b *yaml.Node) bool) bool {
	switch {
	case a == nil || b == nil:
		return a == b
	case allowed(a, b):
		return true
	case a.Kind != b.Kind || a.ShortTag() != b.ShortTag() || a.Value != b.Value || a.Anchor != b.Anchor:
		return false
	}
	return slices.EqualFunc(a.Content, b.Content, func(a, b *yaml.Node) bool { return equal(a, b, allowed) })
}

func equalAll(a, b []*yaml.Node) bool {
	return slices.EqualFunc(a, b, func(a, b *yaml.Node) bool {
		return equal(a, b, func(*yaml.Node, *yaml.Node) bool { return false })
	})
}

// lines is a file as text, with the means to find a node in it.
type lines struct {
	text   []byte
	starts []int // byte offset of each line
	ends   []int // of each line's text, its break apart
	eol    string
}

func newLines(text []byte) lines {
	l := lines{text: text, starts: []int{0}, eol: "\n"}
	for i, at := range yamlBreak.FindAllIndex(text, -1) {
		if i == 0 && at[1]-at[0] == len("\r\n") && text[at[0]] == '\r' {
			l.eol = "\r\n"
		}
		l.ends, l.starts = append(l.ends, at[0]), append(l.starts, at[1])
	}
	l.ends = append(l.ends, len(text))
	return l
}

// An edit puts a vault into a file.
type edit struct {
	lines
	vault []string // the envelope's lines
}

// isAt reports whether a node is the vault.
func (e edit) isAt(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == tag && strings.TrimSpace(n.Value) == strings.Join(e.vault, "\n")
}

// isBelow reports whether a new entry is the vault below the keys.
func (e edit) isBelow(key, v *yaml.Node, keys []string) bool {
	switch {
	case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Value != keys[0]:
		return false
	case len(keys) == 1:
		return e.isAt(v)
	}
	return v.Kind == yaml.MappingNode && len(v.Content) == 2 && e.isBelow(v.Content[0], v.Content[1], keys[1:])
}

// envelope writes the vault's lines at a depth, without the last line break.
func (e edit) envelope(depth int) string {
	space := strings.Repeat(" ", depth)
	return space + strings.Join(e.vault, e.eol+space)
}

func (e edit) splice(from, to int, with string) []byte {
	return slices.Concat(e.text[:from], []byte(with), e.text[to:])
}

// block replaces the lines of a literal block and leaves its head, its depth and
// what follows it.
func (e edit) block(n *yaml.Node) []byte {
	first := n.Line // the head's line counts from 1, so this is the next from 0
	last := first + strings.Count(strings.TrimRight(n.Value, "\n"), "\n")
	if last >= len(e.starts) {
		return nil
	}
	from, to := e.starts[first], e.ends[last]
	old := e.text[from:to]
	depth := len(old) - len(bytes.TrimLeft(old, " "))
	return e.splice(from, to, e.envelope(depth))
}

// scalar replaces a value on one line, the most of the line first: what is left
// of it may be a comment, but not part of a value.
func (e edit) scalar(n *yaml.Node, column int) [][]byte {
	if n.Line < 1 || n.Line > len(e.starts) {
		return nil
	}
	from, to := e.starts[n.Line-1], e.ends[n.Line-1]
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(e.text[from:to])
		from += size
	}
	rest := string(e.text[from:to])
	var candidates [][]byte
	for end := len(rest); end >= 0; end = strings.LastIndex(rest[:end], " #") {
		tail := strings.TrimRight(rest[len(strings.TrimRight(rest[:end], " \t")):], " \t")
		head := tag + " |" + tail + e.eol + e.envelope(column-1+indent)
		if n.Value == "" && from > 0 && e.text[from-1] != ' ' {
			head = " " + head // nothing is behind the colon
		}
		candidates = append(candidates, e.splice(from, to, head))
	}
	return candidates
}

// insert adds a value with its keys before a line, counted from 0.
func (e edit) insert(line, depth int, keys []string) []byte {
	var entry strings.Builder
	for i, key := range keys {
		if i > 0 {
			entry.WriteString(e.eol)
		}
		entry.WriteString(strings.Repeat(" ", depth+2*i) + keyText(key) + ":")
	}
	entry.WriteString(" " + tag + " |" + e.eol + e.envelope(depth+2*(len(keys)-1)+indent))
	at, last := len(e.text), len(e.starts)-1
	switch {
	case line < last || line == last && e.starts[last] < len(e.text):
		at = e.starts[line]
	case e.starts[last] < len(e.text): // the last line has no break
		return e.splice(at, at, e.eol+entry.String())
	}
	return e.splice(at, at, entry.String()+e.eol)
}

// keyText writes a key so that YAML 1.1 and 1.2 read it as text.
func keyText(key string) string {
	if plainKey.MatchString(key) && !yamlWord.MatchString(key) {
		return key
	}
	out, err := yaml.Marshal(&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle, Value: key})
	if err != nil {
		return `""` // fails the proof that follows every edit
	}
	return strings.TrimSuffix(string(out), "\n")
}
