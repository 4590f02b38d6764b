package controlrepo

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// flat is what a document says, aliases and merges resolved, as one line for
// each value: a comparable form, to prove what an edit changed.
type flat map[string]string

func flatten(root *yaml.Node) (flat, error) {
	f := flat{}
	problems := &problemList{}
	if root != nil {
		f.fill(newReader("", problems), root, nil)
	}
	if len(problems.all) > 0 {
		return nil, errors.New(problems.all[0].Text)
	}
	return f, nil
}

// flattenAt returns what a value in YAML says at a path.
func flattenAt(at path, value string) (flat, error) {
	root, err := parse("", []byte(value))
	if err != nil {
		return nil, err
	}
	f := flat{}
	f.fill(newReader("", &problemList{}), root, at)
	return f, nil
}

func (f flat) fill(r *reader, n *yaml.Node, at path) {
	r.follow(n, func(n *yaml.Node) {
		switch n.Kind {
		case yaml.MappingNode:
			f[at.id()] = "mapping"
			for _, p := range r.pairs(n) {
				f.fill(r, p.value, at.to(p.key.Value))
			}
		case yaml.SequenceNode:
			f[at.id()] = "list"
			for i, item := range n.Content {
				f.fill(r, item, at.to(strconv.Itoa(i)))
			}
		default:
			f[at.id()] = n.ShortTag() + " " + n.Value
		}
	})
}

// with returns f with everything at and under a path replaced, and the mappings
// on the way there.
func (f flat) with(at path, value flat) flat {
	changed := f.without(at)
	for i := range at {
		changed[at[:i].id()] = "mapping"
	}
	for id, v := range value {
		changed[id] = v
	}
	return changed
}

// without returns f less everything at and under a path.
func (f flat) without(at path) flat {
	left := flat{}
	for id, v := range f {
		if id != at.id() && !strings.HasPrefix(id, at.id()+"\x00") {
			left[id] = v
		}
	}
	return left
}
