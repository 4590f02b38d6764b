package yamldoc

import (
	"errors"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Flat is what a document says, aliases and merges resolved, as one line for
// each value: a comparable form, to prove what an edit changed.
type Flat map[string]string

// Flatten returns what a document says, by the IDs of the paths.
func Flatten(root *yaml.Node) (Flat, error) {
	f := Flat{}
	problems := &Report{}
	if root != nil {
		f.fill(NewReader("", problems), root, nil)
	}
	if len(problems.all) > 0 {
		return nil, errors.New(problems.all[0].Text)
	}
	return f, nil
}

// flattenAt returns what a value in YAML says at a path.
func flattenAt(at Path, value string) (Flat, error) {
	root, err := Parse("", []byte(value))
	if err != nil {
		return nil, err
	}
	f := Flat{}
	f.fill(NewReader("", &Report{}), root, at)
	return f, nil
}

func (f Flat) fill(r *Reader, n *yaml.Node, at Path) {
	r.Follow(n, func(n *yaml.Node) {
		switch n.Kind {
		case yaml.MappingNode:
			f[at.ID()] = "mapping"
			for _, p := range r.Pairs(n) {
				f.fill(r, p.Value, at.To(p.Key.Value))
			}
		case yaml.SequenceNode:
			f[at.ID()] = "list"
			for i, item := range n.Content {
				f.fill(r, item, at.To(strconv.Itoa(i)))
			}
		default:
			f[at.ID()] = n.ShortTag() + " " + n.Value
		}
	})
}

// with returns f with everything at and under a path replaced, and mappings on
// the way there where there are no lists.
func (f Flat) with(at Path, value Flat) Flat {
	changed := Flat{}
	for id, v := range f {
		if id != at.ID() && !strings.HasPrefix(id, at.ID()+"\x00") {
			changed[id] = v
		}
	}
	for i := range at {
		if changed[at[:i].ID()] != "list" {
			changed[at[:i].ID()] = "mapping"
		}
	}
	for id, v := range value {
		changed[id] = v
	}
	return changed
}

// without returns f without what is at and under a path. What follows it in a
// list moves up.
func (f Flat) without(at Path) Flat {
	list := at[:len(at)-1].ID()
	gone, err := strconv.Atoi(at[len(at)-1])
	inList := err == nil && f[list] == "list"
	changed := Flat{}
	for id, v := range f {
		rest, under := strings.CutPrefix(id, list+"\x00")
		if len(at) == 1 {
			rest, under = id, id != ""
		}
		if !under {
			changed[id] = v
			continue
		}
		key, deeper, nested := strings.Cut(rest, "\x00")
		if key == at[len(at)-1] {
			continue
		}
		if n, err := strconv.Atoi(key); inList && err == nil && n > gone {
			if id = at[:len(at)-1].To(strconv.Itoa(n - 1)).ID(); nested {
				id += "\x00" + deeper
			}
		}
		changed[id] = v
	}
	return changed
}
