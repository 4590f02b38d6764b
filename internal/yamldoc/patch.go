package yamldoc

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// A source is a file as text, with the means to find a node in it.
type source struct {
	text  []byte
	start []int // byte offset of each line
	eol   string
}

func newSource(text []byte) *source {
	s := &source{text: text, start: []int{0}, eol: "\n"}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' || text[i] == '\r' && (i+1 == len(text) || text[i+1] != '\n') {
			s.start = append(s.start, i+1)
		}
	}
	if i := bytes.IndexByte(text, '\n'); i > 0 && text[i-1] == '\r' {
		s.eol = "\r\n"
	}
	return s
}

// line returns the text of a line, counted from 0, without its end.
func (s *source) line(i int) string {
	end := len(s.text)
	if i+1 < len(s.start) {
		end = s.start[i+1]
	}
	return strings.TrimRight(string(s.text[s.start[i]:end]), "\r\n")
}

// offset returns where a node begins: behind its anchor and tag.
func (s *source) offset(n *yaml.Node) int {
	if n.Line < 1 || n.Line > len(s.start) {
		return len(s.text)
	}
	at := s.start[n.Line-1]
	if at == 0 && bytes.HasPrefix(s.text, []byte("\ufeff")) {
		at += len("\ufeff")
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRune(s.text[at:])
		at += size
	}
	if n.Kind == yaml.AliasNode {
		return at
	}
	for at < len(s.text) && (s.text[at] == '&' || s.text[at] == '!') {
		at += max(1, bytes.IndexAny(s.text[at:], " \t\r\n"))
		at += len(s.text[at:]) - len(bytes.TrimLeft(s.text[at:], " \t"))
	}
	return at
}

// replace returns the text with the bytes from..to replaced.
func (s *source) replace(from, to int, with string) []byte {
	return append(append(append(make([]byte, 0, len(s.text)+len(with)), s.text[:from]...), with...), s.text[to:]...)
}

// insertLine returns the text with a line added before line i, counted from 0.
func (s *source) insertLine(i int, line string) []byte {
	if i < len(s.start) {
		return s.replace(s.start[i], s.start[i], line+s.eol)
	}
	end := len(s.text)
	if end > 0 && s.text[end-1] != '\n' && s.text[end-1] != '\r' {
		return s.replace(end, end, s.eol+line)
	}
	return s.replace(end, end, line+s.eol)
}

// candidates returns the texts that may be the edit wanted, the nicest first.
func candidates(content []byte, root *yaml.Node, at Path, value string) [][]byte {
	s := newSource(content)
	if root == nil {
		return [][]byte{s.insertLine(len(s.start), nest(at, value, 0, s.eol)), s.insertLine(len(s.start)-1, nest(at, value, 0, s.eol))}
	}
	parent, rest := root, at
	var key *yaml.Node
	for len(rest) > 1 {
		k, v := Lookup(parent, rest[0])
		if v == nil {
			break
		}
		parent, key, rest = v, k, rest[1:]
	}
	if _, v := Lookup(parent, rest[0]); v != nil {
		return s.replaceScalar(v, value)
	}
	return s.insert(key, parent, rest, value)
}

// replaceScalar writes value in place of a scalar or an alias on one line.
func (s *source) replaceScalar(n *yaml.Node, value string) [][]byte {
	from := s.offset(n)
	if n.Kind != yaml.ScalarNode && n.Kind != yaml.AliasNode || from >= len(s.text) {
		return nil
	}
	to := from + s.tokenLength(from, n)
	if to <= from {
		return nil
	}
	return [][]byte{s.replace(from, to, value), s.replace(from, to, `"`+value+`"`)}
}

// tokenLength returns how long the scalar or alias at an offset is; 0 when it
// is written in a way that only a person should change.
func (s *source) tokenLength(from int, n *yaml.Node) int {
	rest := string(s.text[from:])
	switch {
	case n.Kind == yaml.AliasNode:
		return len("*" + n.Value)
	case n.Style&yaml.DoubleQuotedStyle != 0:
		return quotedLength(rest, '"')
	case n.Style&yaml.SingleQuotedStyle != 0:
		return quotedLength(rest, '\'')
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0 && strings.HasPrefix(rest, n.Value):
		return len(n.Value)
	}
	return 0
}

// quotedLength returns the length of the quoted text that s begins with.
func quotedLength(s string, quote byte) int {
	for i := 1; i < len(s); i++ {
		switch {
		case quote == '"' && s[i] == '\\':
			i++
		case quote == '\'' && s[i] == quote && i+1 < len(s) && s[i+1] == quote:
			i++
		case s[i] == quote:
			return i + 1
		}
	}
	return 0
}

// insert adds a key to a mapping, or to the nothing that stands where the
// mapping would be. key is the mapping's own key, nil for the root.
func (s *source) insert(key, parent *yaml.Node, rest Path, value string) [][]byte {
	switch {
	case parent.Kind == yaml.MappingNode && parent.Style&yaml.FlowStyle != 0:
		return s.insertFlow(key, parent, inline(rest, value))
	case parent.Kind == yaml.MappingNode && len(parent.Content) > 0:
		return s.insertBlock(parent, rest, value)
	case IsNull(parent) && key != nil:
		below := s.insertLine(key.Line, nest(rest, value, key.Column-1+2, s.eol))
		if n := s.offset(parent); parent.Value != "" && n < len(s.text) {
			return [][]byte{s.replace(n, n+len(parent.Value), "{"+inline(rest, value)+"}")}
		}
		return [][]byte{below}
	}
	return nil
}

// insertFlow adds an entry to {…}: at the end, or failing that at the front. An
// empty {} that is the value of a key becomes a block of its own, which reads
// better with one host to a line.
func (s *source) insertFlow(key, parent *yaml.Node, entry string) [][]byte {
	open := s.offset(parent)
	if open >= len(s.text) || s.text[open] != '{' {
		return nil
	}
	if len(parent.Content) == 0 {
		all := [][]byte{s.replace(open+1, open+1, entry)}
		if key != nil && open+1 < len(s.text) && s.text[open+1] == '}' && s.text[open-1] == ' ' && key.Line == parent.Line {
			block := s.insertLine(key.Line, strings.Repeat(" ", key.Column-1+2)+entry)
			all = append([][]byte{newSource(block).replace(open-1, open+2, "")}, all...)
		}
		return all
	}
	return s.extendFlow(open, entry)
}

// extendFlow adds an entry to what stands in the braces or brackets that open:
// at the end, or failing that at the front.
func (s *source) extendFlow(open int, entry string) [][]byte {
	var all [][]byte
	if end := s.closing(open); end > 0 {
		last := open + len(bytes.TrimRight(s.text[open:end], " \t\r\n"))
		separator := ", "
		if s.text[last-1] == ',' {
			separator = " "
		}
		all = append(all, s.replace(last, last, separator+entry))
	}
	return append(all, s.replace(open+1, open+1, entry+", "))
}

// closing returns the offset of the brace that closes the one at open, 0 when
// it is not found.
func (s *source) closing(open int) int {
	depth := 0
	for i := open; i < len(s.text); i++ {
		fresh := i > 0 && strings.IndexByte(" \t\r\n,{[:", s.text[i-1]) >= 0
		switch c := s.text[i]; {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i
			}
		case (c == '"' || c == '\'') && fresh:
			n := quotedLength(string(s.text[i:]), c)
			if n == 0 {
				return 0
			}
			i += n - 1
		case c == '#' && fresh:
			end := bytes.IndexAny(s.text[i:], "\r\n")
			if end < 0 {
				return 0
			}
			i += end
		}
	}
	return 0
}

// insertBlock adds an entry to a block mapping: behind its last entry, or
// failing that before its first.
func (s *source) insertBlock(parent *yaml.Node, rest Path, value string) [][]byte {
	first, last := parent.Content[0], parent.Content[len(parent.Content)-2]
	indent := first.Column - 1
	text := nest(rest, value, indent, s.eol)
	return [][]byte{s.insertLine(s.blockEnd(last, indent), text), s.insertLine(first.Line-1, text)}
}

// blockEnd returns the line, counted from 0, behind the last entry of a block
// mapping: what is indented deeper, and list items at the same depth, belong to
// it; blank lines and comments behind it do not.
func (s *source) blockEnd(last *yaml.Node, indent int) int {
	end := last.Line
	for i := last.Line; i < len(s.start); i++ {
		line := s.line(i)
		bare := strings.TrimLeft(line, " ")
		switch depth := len(line) - len(bare); {
		case strings.TrimSpace(bare) == "" || strings.HasPrefix(bare, "#") && depth <= indent:
		case depth > indent || depth == indent && (bare == "-" || strings.HasPrefix(bare, "- ")):
			end = i + 1
		default:
			return end
		}
	}
	return end
}

// nest writes the keys of a path below each other, the value at the last.
func nest(at Path, value string, indent int, eol string) string {
	var out strings.Builder
	for i, key := range at {
		if i > 0 {
			out.WriteString(eol)
		}
		out.WriteString(strings.Repeat(" ", indent+2*i) + Scalar(key) + ":")
	}
	return out.String() + " " + value
}

// inline writes the keys of a path on one line.
func inline(at Path, value string) string {
	if len(at) > 1 {
		return Scalar(at[0]) + ": {" + inline(at[1:], value) + "}"
	}
	return Scalar(at[0]) + ": " + value
}
