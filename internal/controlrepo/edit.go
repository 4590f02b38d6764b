package controlrepo

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

// A assignment is a key and its value in YAML.
type assignment struct{ key, value string }

// setFields sets several keys of one mapping, which is written on one line when
// it is new.
func setFields(content []byte, at path, fields []assignment) ([]byte, error) {
	root, err := parse(fleet.File, content)
	if err != nil {
		return nil, err
	}
	if find(root, at) == nil {
		parts := make([]string, len(fields))
		for i, f := range fields {
			parts[i] = f.key + ": " + f.value
		}
		return set(content, at, "{"+strings.Join(parts, ", ")+"}")
	}
	for _, f := range fields {
		if content, err = set(content, at.to(f.key), f.value); err != nil {
			return nil, err
		}
	}
	return content, nil
}

// set returns content with the value at a path set to YAML on one line.
func set(content []byte, at path, value string) ([]byte, error) {
	want, err := flattenAt(at, value)
	if err != nil {
		return nil, err
	}
	return edit(content, at, func(before flat) flat { return before.with(at, want) },
		func(root *yaml.Node) [][]byte { return candidates(content, root, at, value) })
}

// edit returns the first of some texts that says what content does, with what
// goal changes and nothing else: the text edit may guess, the result may not.
// Where goal changes nothing it is content itself.
func edit(content []byte, at path, goal func(before flat) flat, guess func(root *yaml.Node) [][]byte) ([]byte, error) {
	root, err := parse(at.String(), content)
	if err != nil {
		return nil, err
	}
	before, err := flatten(root)
	if err != nil {
		return nil, err
	}
	want := goal(before)
	if maps.Equal(want, before) {
		return content, nil
	}
	for _, edited := range guess(root) {
		again, err := parse(at.String(), edited)
		if err != nil {
			continue
		}
		if after, err := flatten(again); err == nil && maps.Equal(want, after) {
			return edited, nil
		}
	}
	return nil, fmt.Errorf("%s %w", at, ErrByHand)
}

// scalar writes s as YAML on one line: plain where it reads back as the same
// text, also inside {}, else in double quotes.
func scalar(s string) string {
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
