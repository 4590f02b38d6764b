package scan

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// A text is a file to be looked into: encrypted parts are blanked, so every
// byte is where it was.
type text struct {
	path    string
	content string
	starts  []int // of the lines
}

func newText(path, content string) *text {
	starts := []int{0}
	for i := range len(content) {
		if content[i] == '\n' {
			starts = append(starts, i+1)
		}
	}
	return &text{path: path, content: content, starts: starts}
}

// row returns the index of the line that holds a byte.
func (t *text) row(at int) int { return sort.SearchInts(t.starts, at+1) - 1 }

func (t *text) line(row int) string {
	line := t.content[t.starts[row]:]
	if row+1 < len(t.starts) {
		line = t.content[t.starts[row] : t.starts[row+1]-1]
	}
	return line
}

// found returns the hits as leaks, without those that are allowed.
func (t *text) found(hits []hit, v values) []Found {
	allowed := allowancesIn(t)
	var all []Found
	for _, h := range hits {
		row := t.row(h.start)
		if allowed.at(row) {
			continue
		}
		value := t.content[h.start:h.end]
		leak := Leak{
			Path: t.path, Line: row + 1, Column: utf8.RuneCountInString(t.content[t.starts[row]:h.start]) + 1,
			Rule: h.rule, Text: h.says + allowed.but(row), Key: h.key,
			Default: v.replacing(t.content[:h.start]), Placeholder: v.placeholder.MatchString(value),
			EnvFile: IsDotenv(t.path), Sample: isSample(t.path) && h.rule != RulePrivateKey && h.rank != byShape && !v.random.MatchString(value),
		}
		name := h.name
		if key, _, named := assignment(t.line(row), isYAML(t.path)); name == "" && named {
			name = key
		}
		all = append(all, Found{Leak: leak, Name: name, Start: h.start, End: h.end})
	}
	return all
}

// explains reports whether the text at a byte is for readers rather than for a
// program: documentation, an example, a comment.
func (t *text) explains(at int) bool {
	return isExample(t.path) || strings.HasPrefix(strings.TrimLeft(t.line(t.row(at)), " \t"), "#")
}
