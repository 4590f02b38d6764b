package compose

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/sirupsen/logrus"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/secret"
)

// Lookup returns the value of a variable that an env file refers to.
type Lookup func(name string) (string, bool)

// An EnvFile is an env file as Compose reads it, with the places of its
// statements. Its values print as nothing.
type EnvFile struct {
	Name  string // for messages
	text  string
	parts []envPart
}

// An EnvEntry is one variable of an env file.
type EnvEntry struct {
	secret.Variable
	Line int
	Refs []string // variables that its value is made with, sorted
	Lost []int    // earlier lines that give it another value, which does not count
}

// Usable reports whether the variable can be named as ${NAME} and encrypted:
// Compose itself lets dots and more into names.
func (e EnvEntry) Usable() bool { return fleet.IsVariable(e.Name) }

// envPart is the least run of lines that Compose's parser takes: a statement as
// a rule, more than one where they share a line.
type envPart struct {
	start, end int // bytes
	entries    []EnvEntry
}

// maxValueLines bounds the search for the end of a quoted value.
const maxValueLines = 2000

var unterminated = regexp.MustCompile(`^line \d+: unterminated quoted value`)

// ParseEnv reads an env file with Compose's own parser, statement by statement.
// A ${NAME} in it is what lookup says, else what the file said before. Errors
// begin with "file:line:1: " and show nothing of the content.
func ParseEnv(name string, content []byte, lookup Lookup) (*EnvFile, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	f := &EnvFile{Name: name, text: string(content)}
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return nil, fmt.Errorf("%s: not text in UTF-8", name)
	}
	logrus.SetOutput(io.Discard) // where compose-go reports unset variables
	known := map[string]string{}
	for start := 0; start < len(f.text); {
		p, err := f.part(start, known, lookup)
		if err != nil {
			return nil, err
		}
		for _, e := range p.entries {
			known[e.Name] = string(e.Value.Reveal())
		}
		f.parts, start = append(f.parts, p), p.end
	}
	return f, nil
}

// part reads on from a byte, line by line, until what it has is whole.
func (f *EnvFile) part(start int, known map[string]string, lookup Lookup) (envPart, error) {
	p := envPart{start: start, end: start}
	for range maxValueLines {
		line := strings.IndexByte(f.text[p.end:], '\n')
		if p.end += line + 1; line < 0 {
			p.end = len(f.text)
		}
		refs := map[string]bool{}
		values, err := dotenv.UnmarshalWithLookup(f.text[start:p.end], func(k string) (string, bool) {
			refs[k] = true
			if v, ok := lookup(k); ok {
				return v, true
			}
			v, ok := known[k]
			return v, ok
		})
		switch {
		case err == nil:
			return p, f.entries(&p, values, refs)
		case !unterminated.MatchString(err.Error()):
			return p, f.fail(start, "neither NAME=value nor a comment, or it has a $ that Compose does not understand")
		case p.end == len(f.text):
			return p, f.fail(start, "a quote that does not end")
		}
	}
	return p, f.fail(start, "a quote that does not end for %d lines", maxValueLines)
}

func (f *EnvFile) entries(p *envPart, values map[string]string, refs map[string]bool) error {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "" {
			return f.fail(p.start, "a name without a value, which Compose reads as a value without a name")
		}
		if strings.Contains(name+values[name], "\x00") {
			return f.fail(p.start, "a NUL byte, which an environment can't contain")
		}
		e := EnvEntry{Variable: secret.Variable{Name: name, Value: secret.NewString(values[name])}, Line: f.line(p.start)}
		for ref := range refs {
			if ref != name {
				e.Refs = append(e.Refs, ref)
			}
		}
		slices.Sort(e.Refs)
		p.entries = append(p.entries, e)
	}
	return nil
}

// line is where the first statement at or after a byte stands, from one.
func (f *EnvFile) line(start int) int {
	number := 1 + strings.Count(f.text[:start], "\n")
	for line := range strings.Lines(f.text[start:]) {
		if bare := strings.TrimSpace(line); bare != "" && bare[0] != '#' {
			break
		}
		number++
	}
	return number
}

func (f *EnvFile) fail(start int, format string, args ...any) error {
	return fmt.Errorf("%s:%d:1: %s", f.Name, f.line(start), fmt.Sprintf(format, args...))
}

// Entries returns the file's variables in its order. Of a name that is there twice the
// last value counts, as for Compose.
func (f *EnvFile) Entries() []EnvEntry {
	var all []EnvEntry
	said := map[string][]EnvEntry{}
	for _, p := range f.parts {
		for _, e := range p.entries {
			if said[e.Name] = append(said[e.Name], e); len(said[e.Name]) == 1 {
				all = append(all, e)
			}
		}
	}
	for i, e := range all {
		all[i] = last(said[e.Name])
	}
	return all
}

// last returns what counts of a variable's statements: the last, or the first if all say
// the same.
func last(said []EnvEntry) EnvEntry {
	counts := said[len(said)-1]
	for _, e := range said {
		if !bytes.Equal(e.Value.Reveal(), counts.Value.Reveal()) {
			counts.Lost = append(counts.Lost, e.Line)
		}
	}
	if len(counts.Lost) == 0 {
		return said[0]
	}
	return counts
}

// values are what the file sets; of a name that is there twice, the last.
func (f *EnvFile) values() map[string]string {
	all := map[string]string{}
	for _, e := range f.Entries() {
		all[e.Name] = string(e.Value.Reveal())
	}
	return all
}

// Names returns every name that the file sets, sorted.
func (f *EnvFile) Names() []string { return slices.Sorted(maps.Keys(f.values())) }

// Says reports whether the file gives a variable this value somewhere.
func (f *EnvFile) Says(v secret.Variable) bool {
	return slices.ContainsFunc(f.parts, func(p envPart) bool {
		return slices.ContainsFunc(p.entries, func(e EnvEntry) bool { return e.Name == v.Name && bytes.Equal(e.Value.Reveal(), v.Value.Reveal()) })
	})
}

// Text returns the file's text, without a byte order mark.
func (f *EnvFile) Text() []byte { return []byte(f.text) }

var errSharedLine = errors.New("shares its line with a variable that stays; put each on its own line")

// Without returns the file's text without some variables. What else is there,
// comments too, stays as it is.
func (f *EnvFile) Without(gone func(name string) bool) ([]byte, error) {
	return f.rewrite(gone, func(EnvEntry) string { return "" })
}

// Masked returns the file's text with the values of some variables left out, to
// be shown.
func (f *EnvFile) Masked(hidden func(name string) bool) ([]byte, error) {
	return f.rewrite(hidden, func(e EnvEntry) string { return e.Name + "=[secret]\n" })
}

func (f *EnvFile) rewrite(chosen func(name string) bool, as func(EnvEntry) string) ([]byte, error) {
	var out strings.Builder
	for _, p := range f.parts {
		n := 0
		for _, e := range p.entries {
			if chosen(e.Name) {
				n++
			}
		}
		text := f.text[p.start:p.end]
		switch n {
		case 0:
			out.WriteString(text)
		case len(p.entries):
			out.WriteString(before(text))
			for _, e := range p.entries {
				out.WriteString(as(e))
			}
		default:
			return nil, fmt.Errorf("%s:%d:1: %s %w", f.Name, f.line(p.start), p.entries[0].Name, errSharedLine)
		}
	}
	return []byte(out.String()), nil
}

// before returns the comments and empty lines in front of a statement.
func before(text string) string {
	at := 0
	for line := range strings.Lines(text) {
		if bare := strings.TrimLeftFunc(line, unicode.IsSpace); bare != "" && bare[0] != '#' {
			break
		}
		at += len(line)
	}
	return text[:at]
}

// EnvLine writes a variable as a line of an env file from which Compose reads
// exactly this value, whatever else is set. Not every value can be written so.
func EnvLine(v secret.Variable) (string, bool) {
	value := string(v.Value.Reveal())
	texts := []string{value, project.QuoteEnv(value)}
	if strings.ContainsFunc(value, func(r rune) bool { return unicode.IsSpace(r) || strings.ContainsRune("#'\"`\\", r) }) {
		texts = texts[1:]
	}
	for _, text := range texts {
		line := v.Name + "=" + text + "\n"
		looked := false
		values, err := dotenv.UnmarshalWithLookup(line, func(string) (string, bool) { looked = true; return "", false })
		if got, ok := values[v.Name]; err == nil && ok && !looked && len(values) == 1 && got == value {
			return line, true
		}
	}
	return "", false
}
