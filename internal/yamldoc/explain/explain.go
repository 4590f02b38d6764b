// Package explain parses YAML as yamldoc does, and explains what is not YAML: what stands there, and what to
// write instead. It links a second parser for that, which hosts can do without: an operator's program has read
// their files before.
package explain

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4" // for positions alone: our parser in its next version, which knows columns

	"salvor/internal/yamldoc"
)

// Parse returns the root node of the one document in content, nil for an empty file. Its error is a
// *yamldoc.Problem, in the words of someone who writes a file.
func Parse(file string, content []byte) (*yamldoc.Node, error) {
	root, err := yamldoc.Parse(file, content)
	p, is := errors.AsType[*yamldoc.Problem](err)
	if !is || p.Position.Column > 0 { // which is known of what is not the parser's
		return root, err
	}
	return nil, explained(p, content)
}

func explained(p *yamldoc.Problem, content []byte) *yamldoc.Problem {
	f := syntax{file: p.Position.File, lines: strings.Split(string(content), "\n"), at: p.Position, text: strings.TrimPrefix(p.Text, yamldoc.NotYAML)}
	var load *yaml.LoadError
	if errors.As(laterParser(content), &load) && load.Mark.Line > 0 {
		f.at.Line, f.at.Column, f.text = load.Mark.Line, load.Mark.Column, load.Message
		f.began, f.within = yamldoc.Position{File: f.file, Line: load.ContextMark.Line, Column: load.ContextMark.Column}, load.ContextMsg
	}
	return f.problem()
}

// laterParser returns what the parser of the next version says of a file.
func laterParser(content []byte) (err error) {
	documents := yaml.NewDecoder(bytes.NewReader(content))
	for err == nil {
		var node yaml.Node
		err = documents.Decode(&node)
	}
	return err
}

// syntax is what a parser says of a file.
type syntax struct {
	file   string
	lines  []string
	text   string
	at     yamldoc.Position
	within string           // what it was reading, as "while parsing a block mapping"
	began  yamldoc.Position // where that began
}

// line returns a line by its number, "" for one that is not there.
func (f syntax) line(number int) string {
	if number < 1 || number > len(f.lines) {
		return ""
	}
	return f.lines[number-1]
}

var (
	badStart   = regexp.MustCompile("[@`%]")
	valueColon = regexp.MustCompile(`:(\s|$)`)
)

// problem says what is wrong, by what stands there first and by the parser's words last.
func (f syntax) problem() *yamldoc.Problem {
	if p := f.tab(); p != nil {
		return p
	}
	for _, number := range []int{f.at.Line, f.at.Line - 1, f.began.Line} {
		if kind := yamldoc.Template(f.line(number)); kind != "" {
			return yamldoc.TemplateProblem(yamldoc.Position{File: f.file, Line: number, Column: 1 + indentation(f.line(number))}, kind)
		}
	}
	flow := strings.Contains(f.within, "flow")
	switch {
	case strings.Contains(f.within, "quoted scalar") && strings.Contains(f.text, "escape character"):
		return f.says(f.at, "use single quotes, or write \\\\ for a backslash", "this is not an escape in double quotes")
	case strings.Contains(f.within, "quoted scalar"):
		return f.says(f.began, "close it with the same quote", "the quote that begins here does not end")
	case flow && f.began.Line > 0:
		return f.says(f.began, "close it, put a comma between items, and quote a value with , : [ ] { } in it", "the bracket that begins here is not closed, or an item in it is not a value")
	case strings.Contains(f.text, "mapping values are not allowed"):
		return f.colon()
	case strings.Contains(f.text, "could not find expected ':'"):
		return f.says(f.began, "write KEY: VALUE, or \"- \" before an item of a list", "this line is not a key: it has no colon")
	case strings.Contains(f.text, "did not find expected key"):
		return f.says(f.at, "indent it like the other lines of its block", "this line does not fit the block that begins in line %d: another indentation, or no key", f.began.Line)
	case strings.Contains(f.text, "did not find expected '-' indicator"):
		return f.says(f.at, "begin it with \"- \", or indent it as deep as its key", "this line is not an item of the list that begins in line %d", f.began.Line)
	case strings.Contains(f.text, "block sequence entries are not allowed"):
		return f.says(f.at, "put the list on lines of its own, below its key", "a list can't begin here")
	case strings.Contains(f.text, "unknown anchor"):
		return f.says(f.at, "define it with & above", "the %s is not defined", strings.TrimSuffix(strings.TrimPrefix(f.text, "unknown "), " referenced"))
	case strings.Contains(f.text, "cannot start any token") && badStart.MatchString(f.rest()):
		return f.says(f.at, "put it in quotes", "a value can't begin with %.1s", f.rest())
	}
	return f.says(f.at, yamldoc.CompareLines, yamldoc.NotYAML+"%s", f.text)
}

func (f syntax) says(at yamldoc.Position, advice, format string, args ...any) *yamldoc.Problem {
	return &yamldoc.Problem{Position: at, Text: fmt.Sprintf(format, args...), Advice: advice}
}

// rest is what stands at the place and after it.
func (f syntax) rest() string {
	line := []rune(f.line(f.at.Line))
	return string(line[min(max(f.at.Column-1, 0), len(line)):])
}

// tab reports a tab where YAML wants spaces: in the indentation of the line that could
// not be read, of the one before it, or where its block began.
func (f syntax) tab() *yamldoc.Problem {
	for _, number := range []int{f.at.Line, f.at.Line - 1, f.began.Line} {
		if tab := strings.IndexByte(f.line(number)[:indentation(f.line(number))], '\t'); tab >= 0 {
			return f.says(yamldoc.Position{File: f.file, Line: number, Column: tab + 1}, "replace the tab with spaces", "a tab indents this line, and YAML allows only spaces there")
		}
	}
	if strings.HasPrefix(f.rest(), "\t") {
		return f.says(f.at, "replace the tab with spaces", "a tab is here, and YAML allows only spaces")
	}
	return nil
}

// colon says which of two things a colon is that may not be there: part of a value, or
// of a key that is indented too deep.
func (f syntax) colon() *yamldoc.Problem {
	if first := valueColon.FindStringIndex(f.line(f.at.Line)); first != nil && first[0] < f.at.Column-1 {
		return f.says(f.at, "put the value in quotes", "this value has a colon followed by a space, which begins another value")
	}
	at := yamldoc.Position{File: f.file, Line: f.at.Line, Column: 1 + indentation(f.line(f.at.Line))}
	if before := f.line(f.at.Line - 1); before != "" && indentation(before) == at.Column-1 && !strings.Contains(before, ":") {
		at.Line--
		return f.says(at, "write KEY: VALUE", "this line has no colon")
	}
	return f.says(at, "indent it like the key before it", "this key is indented deeper than the one before it, which has a value already")
}

// indentation counts the blanks that a line begins with.
func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
