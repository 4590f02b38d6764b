package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4" // for positions alone: our parser in its next version, which knows columns
)

// syntaxProblem puts the parser's message in our shape, in the words of someone who
// writes a file: what is wrong, where, and what to write instead.
func syntaxProblem(file string, content []byte, err error) *Problem {
	if p := notText(file, content); p != nil {
		return p
	}
	f := syntax{file: file, lines: strings.Split(string(content), "\n"), at: Position{File: file}}
	f.text = strings.TrimPrefix(err.Error(), "yaml: ")
	if m := yamlErrorLine.FindStringSubmatch(f.text); m != nil {
		f.at.Line, _ = strconv.Atoi(m[1]) // digits by the pattern; one that overflows leaves the file as a whole
		f.text = f.text[len(m[0]):]
	}
	var load *yaml.LoadError
	if errors.As(laterParser(content), &load) && load.Mark.Line > 0 {
		f.at.Line, f.at.Column, f.text = load.Mark.Line, load.Mark.Column, load.Message
		f.began, f.within = Position{file, load.ContextMark.Line, load.ContextMark.Column}, load.ContextMsg
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

// notText reports a file whose bytes are not text, at its first byte.
func notText(file string, content []byte) *Problem {
	start := Position{file, 1, 1}
	switch {
	case bytes.HasPrefix(content, []byte("\xff\xfe")) || bytes.HasPrefix(content, []byte("\xfe\xff")):
		return &Problem{start, "the file is text in UTF-16, want UTF-8", "save it as UTF-8"}
	case !utf8.Valid(content):
		at := 0
		for r, size := utf8.DecodeRune(content); r != utf8.RuneError || size > 1; r, size = utf8.DecodeRune(content[at:]) {
			at += size
		}
		return &Problem{position(file, content[:at]), "the file has a byte that is not text in UTF-8", "save it as UTF-8"}
	}
	if at := bytes.IndexFunc(content, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }); at >= 0 {
		return &Problem{position(file, content[:at]), "a control character is here", "delete it"}
	}
	return nil
}

// position is the place after some bytes of a file.
func position(file string, before []byte) Position {
	line := bytes.LastIndexByte(before, '\n') + 1
	return Position{file, 1 + bytes.Count(before, []byte("\n")), 1 + utf8.RuneCount(before[line:])}
}

// syntax is what a parser says of a file.
type syntax struct {
	file   string
	lines  []string
	text   string
	at     Position
	within string   // what it was reading, as "while parsing a block mapping"
	began  Position // where that began
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
func (f syntax) problem() *Problem {
	if p := f.tab(); p != nil {
		return p
	}
	for _, number := range []int{f.at.Line, f.at.Line - 1, f.began.Line} {
		if kind := Template(f.line(number)); kind != "" {
			return TemplateProblem(Position{f.file, number, 1 + indentation(f.line(number))}, kind)
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
	return f.says(f.at, "compare it with the lines before: indentation, colons, quotes", "not valid YAML: %s", f.text)
}

func (f syntax) says(at Position, advice, format string, args ...any) *Problem {
	return &Problem{at, fmt.Sprintf(format, args...), advice}
}

// rest is what stands at the place and after it.
func (f syntax) rest() string {
	line := []rune(f.line(f.at.Line))
	return string(line[min(max(f.at.Column-1, 0), len(line)):])
}

// tab reports a tab where YAML wants spaces: in the indentation of the line that could
// not be read, of the one before it, or where its block began.
func (f syntax) tab() *Problem {
	for _, number := range []int{f.at.Line, f.at.Line - 1, f.began.Line} {
		if tab := strings.IndexByte(f.line(number)[:indentation(f.line(number))], '\t'); tab >= 0 {
			return f.says(Position{f.file, number, tab + 1}, "replace the tab with spaces", "a tab indents this line, and YAML allows only spaces there")
		}
	}
	if strings.HasPrefix(f.rest(), "\t") {
		return f.says(f.at, "replace the tab with spaces", "a tab is here, and YAML allows only spaces")
	}
	return nil
}

// colon says which of two things a colon is that may not be there: part of a value, or
// of a key that is indented too deep.
func (f syntax) colon() *Problem {
	if first := valueColon.FindStringIndex(f.line(f.at.Line)); first != nil && first[0] < f.at.Column-1 {
		return f.says(f.at, "put the value in quotes", "this value has a colon followed by a space, which begins another value")
	}
	at := Position{f.file, f.at.Line, 1 + indentation(f.line(f.at.Line))}
	if before := f.line(f.at.Line - 1); before != "" && indentation(before) == at.Column-1 && !strings.Contains(before, ":") {
		at.Line--
		return f.says(at, "write KEY: VALUE", "this line has no colon")
	}
	return f.says(at, "indent it like the key before it", "this key is indented deeper than the one before it, which has a value already")
}

// indentation counts the blanks that a line begins with.
func indentation(line string) int { return len(line) - len(strings.TrimLeft(line, " \t")) }
