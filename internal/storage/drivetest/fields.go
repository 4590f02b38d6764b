package drivetest

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
)

// A selection says which fields of a resource an answer has, as the parameter fields
// does. Nil means all of them.
type selection map[string]selection

// parseFields reads the parameter fields: names with commas between them, each with
// those below it in parentheses or after a slash; * is everything.
func parseFields(text string) (selection, error) {
	p := &fieldsParser{text: text}
	sel, ok := p.list()
	if !ok || p.text != "" {
		return nil, badSelection(text)
	}
	return sel, nil
}

func badSelection(name string) *Refusal {
	return &Refusal{Code: 400, Reason: "invalidParameter", Message: "Invalid field selection " + name, locationType: "parameter", location: "fields"}
}

const fieldsDepth = 20

type fieldsParser struct {
	text  string
	depth int
}

// list reads fields up to the end or a closing parenthesis.
func (p *fieldsParser) list() (selection, bool) {
	if p.depth++; p.depth > fieldsDepth {
		return nil, false
	}
	defer func() { p.depth-- }()
	sel, all := selection{}, false
	for {
		name, below, ok := p.field()
		if !ok {
			return nil, false
		}
		all = all || name == "*"
		if known, twice := sel[name]; twice {
			below = known.with(below)
		}
		sel[name] = below
		if !p.skip(",") {
			break
		}
	}
	if all {
		return nil, true
	}
	return sel, true
}

func (p *fieldsParser) field() (string, selection, bool) {
	end := strings.IndexFunc(p.text, func(r rune) bool { return !isLetter(r) && r != '*' })
	if end < 0 {
		end = len(p.text)
	}
	name := p.text[:end]
	p.text = p.text[end:]
	switch {
	case name == "" || strings.Contains(name, "*") && name != "*":
		return "", nil, false
	case p.skip("("):
		sel, ok := p.list()
		return name, sel, ok && p.skip(")")
	case p.skip("/"):
		if p.depth++; p.depth > fieldsDepth {
			return "", nil, false
		}
		defer func() { p.depth-- }()
		below, sel, ok := p.field()
		if below == "*" {
			return name, sel, ok
		}
		return name, selection{below: sel}, ok
	}
	return name, nil, true
}

func (p *fieldsParser) skip(token string) bool {
	rest, ok := strings.CutPrefix(p.text, token)
	p.text = rest
	return ok
}

func isLetter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_'
}

// with joins two selections of the same field.
func (s selection) with(other selection) selection {
	if s == nil || other == nil {
		return nil
	}
	for name, below := range other {
		if known, twice := s[name]; twice {
			below = known.with(below)
		}
		s[name] = below
	}
	return s
}

// check refuses the first name that the resource does not have.
func (s selection) check(t reflect.Type) error {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() == reflect.Map {
		return nil // a person's own names
	}
	for name, below := range s {
		field, ok := jsonField(t, name)
		if !ok {
			return badSelection(name)
		}
		if err := below.check(field); err != nil {
			return err
		}
	}
	return nil
}

func jsonField(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() != reflect.Struct {
		return nil, false
	}
	for i := range t.NumField() {
		if tag, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ","); tag == name {
			return t.Field(i).Type, true
		}
	}
	return nil, false
}

// of returns what is selected of a JSON value.
func (s selection) of(raw json.RawMessage) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case s == nil || len(raw) == 0:
		return raw, nil
	case raw[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		for i := range items {
			var err error
			if items[i], err = s.of(items[i]); err != nil {
				return nil, err
			}
		}
		return json.Marshal(items)
	case raw[0] == '{':
		return s.ofObject(raw)
	}
	return raw, nil
}

func (s selection) ofObject(raw json.RawMessage) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, err
	}
	kept := map[string]json.RawMessage{}
	for name, below := range s {
		value, ok := all[name]
		if !ok {
			continue
		}
		var err error
		if kept[name], err = below.of(value); err != nil {
			return nil, err
		}
	}
	return json.Marshal(kept)
}
