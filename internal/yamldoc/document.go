// Package yamldoc decodes, checks and edits YAML that people write. A file is decoded by
// shapes, which are its JSON Schema as well; each problem has a place; and a file is edited
// as text, with proof that one thing changed and nothing else.
package yamldoc

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

// Parse returns the root node of the one document in content: nil for an empty
// file. Package explain does the same for files that people have written just now.
func Parse(file string, content []byte) (*yaml.Node, error) {
	if p := notText(file, content); p != nil {
		return nil, p
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	var doc yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, syntaxProblem(file, content, err)
	}
	var second yaml.Node
	switch err := dec.Decode(&second); {
	case err == nil:
		return nil, &Problem{Position{file, second.Line, second.Column}, "a second YAML document starts here, want one only", "remove the line ---, or make it a file of its own"}
	case !errors.Is(err, io.EOF):
		return nil, syntaxProblem(file, content, err)
	}
	return doc.Content[0], nil
}

// What a problem of a file that is not YAML begins with, before the parser's words, and its advice.
const (
	NotYAML      = "not valid YAML: "
	CompareLines = "compare it with the lines before: indentation, colons, quotes"
)

// syntaxProblem puts the parser's message in our shape. It knows the line alone, if that, and a template that
// stands there.
func syntaxProblem(file string, content []byte, err error) *Problem {
	at, text := Position{File: file}, strings.TrimPrefix(err.Error(), "yaml: ")
	m := yamlErrorLine.FindStringSubmatch(text)
	if m == nil {
		return &Problem{at, NotYAML + text, CompareLines}
	}
	at.Line, _ = strconv.Atoi(m[1]) // digits by the pattern; one that overflows leaves the file as a whole
	if lines := strings.Split(string(content), "\n"); at.Line > 0 && at.Line <= len(lines) {
		line := lines[at.Line-1]
		if kind := Template(line); kind != "" {
			return TemplateProblem(Position{file, at.Line, 1 + len(line) - len(strings.TrimLeft(line, " \t"))}, kind)
		}
	}
	return &Problem{at, NotYAML + text[len(m[0]):], CompareLines}
}
