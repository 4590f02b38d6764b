package yamldoc

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
)

// ErrByHand means that a file is written in a way that cannot be edited without
// changing more than was asked; nothing was changed. An anchor on the value
// that others use is such a way.
var ErrByHand = errors.New("cannot be edited without changing more; edit it by hand")

// An Assignment is a key and its value in YAML.
type Assignment struct{ Key, Value string }

// SetFields sets several keys of one mapping, which is written on one line when
// it is new.
func SetFields(content []byte, at Path, fields []Assignment) ([]byte, error) {
	root, err := Parse(fleet.File, content)
	if err != nil {
		return nil, err
	}
	if Find(root, at...) == nil {
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = f.Key + ": " + f.Value
		}
		return Set(content, at, "{"+strings.Join(parts, ", ")+"}")
	}
	for _, f := range fields {
		if content, err = Set(content, at.To(f.Key), f.Value); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// Set returns content with the value at a path set to YAML on one line.
func Set(content []byte, at Path, value string) ([]byte, error) {
	want, err := flattenAt(at, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before Flat) Flat { return before.with(at, want) },
		func(root *yaml.Node) [][]byte { return candidates(content, root, at, value) })
}

// SetShared is Set for a key of a mapping that is merged into other places, too: each
// gets it.
func SetShared(content []byte, at Path, merged []Path, value string) ([]byte, error) {
	want, err := flattenAt(at, value)
	if err != nil {
		return nil, err
	}
	goal := func(before Flat) Flat {
		before = before.with(at, want)
		for _, p := range merged {
			again, err := flattenAt(p, value)
			if err != nil {
				return nil // it was flattened before
			}
			before = before.with(p, again)
		}
		return before
	}
	return edit(content, at, goal, func(root *yaml.Node) [][]byte { return candidates(content, root, at, value) })
}

// edit returns the first of some texts that says what content does, with what
// goal changes and nothing else: the text edit may guess, the result may not.
// Where goal changes nothing it is content itself.
func edit(content []byte, at Path, goal func(before Flat) Flat, guess func(root *yaml.Node) [][]byte) ([]byte, error) {
	root, err := Parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	before, err := Flatten(root)
	if err != nil {
		return nil, err
	}
	want := goal(before)
	if maps.Equal(want, before) {
		return content, nil
	}
	for _, edited := range guess(root) {
		again, err := Parse(at.String(), edited)
		if err != nil {
			continue
		}
		if after, err := Flatten(again); err == nil && maps.Equal(want, after) {
			return edited, nil
		}
	}
	return nil, fmt.Errorf("%s %w", at, ErrByHand)
}

// Scalar writes s as YAML on one line: plain where it reads back as the same
// text, also inside {}, else in double quotes.
func Scalar(s string) string {
	var back []string
	if err := yaml.Unmarshal([]byte("["+s+"]"), &back); err == nil && len(back) == 1 && back[0] == s && isText(s) {
		return s
	}
	return strconv.QuoteToASCII(s)
}

func isText(s string) bool {
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(s), &n); err != nil || len(n.Content) != 1 {
		return false
	}
	v := n.Content[0]
	return v.Kind == yaml.ScalarNode && v.ShortTag() == "!!str" && v.Value == s && v.Style == 0 && v.Anchor == "" && !strings.ContainsAny(s, "#\n")
}
