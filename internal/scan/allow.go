package scan

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// allowances are the lines of a text that a comment excuses.
type allowances struct {
	said    map[int]bool // lines with the words that excuse
	texts   map[int]bool // of those, where the words are part of a value and no comment
	excused map[int]bool // lines of a value that is excused where it begins
}

// at reports whether a line is excused.
func (a allowances) at(row int) bool { return a.excused[row] || a.said[row] && !a.texts[row] }

// but says why the words in a line excuse nothing.
func (a allowances) but(row int) string {
	if !a.texts[row] {
		return ""
	}
	return "; salvor:allow is part of the value there: make it a comment in the line where the value begins"
}

// allowancesIn finds the lines of a text that are excused. In YAML, what looks like a comment
// within quotes, or in a value of several lines, is part of the value: a program would get it.
func allowancesIn(t *text) allowances {
	a := allowances{said: map[int]bool{}, texts: map[int]bool{}, excused: map[int]bool{}}
	for row := range t.starts {
		if excuses(t.line(row)) > 0 {
			a.said[row] = true
		}
	}
	if len(a.said) == 0 || !isYAML(t.path) {
		return a
	}
	for dec := yaml.NewDecoder(strings.NewReader(t.content)); ; {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			return a // at the end, or where the rest is read line by line
		}
		a.scalars(t, &doc)
	}
}

// excuses counts the words in a text that excuse a line.
func excuses(s string) int {
	return strings.Count(s, "salvor:allow") + strings.Count(s, "gitleaks:allow")
}

// scalars looks at each value below a node, where it stands.
func (a allowances) scalars(t *text, n *yaml.Node) {
	for _, child := range n.Content {
		a.scalars(t, child)
	}
	if n.Kind != yaml.ScalarNode {
		return
	}
	row := n.Line - 1
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 && n.Value != "" {
		head := row
		row++
		for r := row; a.said[head] && r < t.blockEnd(row); r++ {
			a.excused[r] = true
		}
	}
	for left := excuses(n.Value); left > 0 && row < len(t.starts); row++ {
		if in := excuses(t.line(row)); in > 0 {
			a.texts[row], left = in <= left, left-in
		}
	}
}

// blockEnd returns the line after the block of text that begins in a line of YAML.
func (t *text) blockEnd(row int) int {
	indent := -1
	for ; row < len(t.starts); row++ {
		line := strings.TrimRight(t.line(row), " \t\r")
		at := len(line) - len(strings.TrimLeft(line, " "))
		switch {
		case line == "":
		case indent < 0:
			indent = at
		case at < indent:
			return row
		}
	}
	return row
}
