package controlrepo

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/suggest"
)

// A shape is what a value in a file must look like. It decodes a node into a
// value and describes itself as JSON Schema, so that the two cannot differ.
//
// decode reports problems to the reader and returns what it could read; the
// value counts only when no problem was reported anywhere.
type shape[T any] struct {
	decode func(r *reader, n *yaml.Node, at path) T
	schema *schema
}

// read decodes the node that n stands for and remembers its place.
func (s shape[T]) read(r *reader, n *yaml.Node, at path) (value T) {
	r.at[at.id()] = r.position(n)
	r.follow(n, func(n *yaml.Node) { value = s.decode(r, n, at) })
	return value
}

// A field is one key of an object.
type field[T any] struct {
	key      string
	required bool
	schema   *schema
	decode   func(r *reader, n *yaml.Node, at path, into *T)
}

// key declares a field: its name, what the documentation says, the shape of its
// value and where the value goes.
func key[T, V any](name, doc string, s shape[V], put func(*T, V)) field[T] {
	return field[T]{key: name, schema: s.schema.describe(doc), decode: func(r *reader, n *yaml.Node, at path, into *T) {
		put(into, s.read(r, n, at))
	}}
}

// must makes a field one that has to be there.
func (f field[T]) must() field[T] {
	f.required = true
	return f
}

// object is a mapping with known keys. Nothing (`hosts:` with no value) is an
// object without keys.
func object[T any](fields ...field[T]) shape[T] {
	s := &schema{Type: types{"object", "null"}, Properties: map[string]*schema{}, AdditionalProperties: &schema{nothing: true}}
	byKey := map[string]field[T]{}
	for _, f := range fields {
		byKey[f.key] = f
		s.Properties[f.key] = f.schema
		if f.required {
			s.Required = append(s.Required, f.key)
			s.Type = types{"object"}
		}
	}
	known := slices.Collect(maps.Keys(byKey))
	return shape[T]{schema: s, decode: func(r *reader, n *yaml.Node, at path) (value T) {
		seen := map[string]bool{}
		for _, p := range r.mapping(n, at) {
			f, ok := byKey[p.key.Value]
			if !ok {
				r.fail(p.key, "unknown key %q%s", p.key.Value, suggest.DidYouMean(p.key.Value, known))
				continue
			}
			seen[f.key] = true
			f.decode(r, p.value, at.to(f.key), &value)
		}
		for _, f := range fields {
			if f.required && !seen[f.key] && (n.Kind == yaml.MappingNode || isNull(n)) {
				r.fail(n, "%s has no %q", at.orFile(), f.key)
			}
		}
		return value
	}}
}

// extensible lets an object have keys that start with x-, as a place for
// anchors; their values are not read.
func extensible[T any](s shape[T]) shape[T] {
	described := *s.schema
	described.PatternProperties = map[string]*schema{"^x-": {}}
	return shape[T]{schema: &described, decode: func(r *reader, n *yaml.Node, at path) T {
		if n.Kind == yaml.MappingNode {
			n = withoutExtensions(n)
		}
		return s.decode(r, n, at)
	}}
}

func withoutExtensions(n *yaml.Node) *yaml.Node {
	kept := *n
	kept.Content = nil
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !strings.HasPrefix(n.Content[i].Value, "x-") {
			kept.Content = append(kept.Content, n.Content[i], n.Content[i+1])
		}
	}
	return &kept
}

// An entry is one item of a mapping whose keys are names.
type entry[V any] struct {
	name  string
	value V
}

// A naming is the rule for the keys of such a mapping.
type naming struct {
	pattern string
	check   func(string) error
}

// named is a mapping from names to values of one shape, in the order of the
// file. An entry whose value has problems is kept, so that what refers to its
// name is not reported as well.
func named[V any](rule naming, s shape[V]) shape[[]entry[V]] {
	desc := &schema{Type: types{"object", "null"}, PropertyNames: &schema{Pattern: rule.pattern}, AdditionalProperties: s.schema}
	return shape[[]entry[V]]{schema: desc, decode: func(r *reader, n *yaml.Node, at path) []entry[V] {
		var all []entry[V]
		for _, p := range r.mapping(n, at) {
			if err := rule.check(p.key.Value); err != nil {
				r.fail(p.key, "%v", err)
				continue
			}
			inside := at.to(p.key.Value)
			value := s.read(r, p.value, inside)
			r.at[inside.id()] = r.position(p.key)
			all = append(all, entry[V]{p.key.Value, value})
		}
		return all
	}}
}

// list is a sequence of values of one shape. Nothing is an empty list.
func list[V any](s shape[V]) shape[[]V] {
	desc := &schema{Type: types{"array", "null"}, Items: s.schema}
	return shape[[]V]{schema: desc, decode: func(r *reader, n *yaml.Node, at path) []V {
		if n.Kind != yaml.SequenceNode {
			if !isNull(n) {
				r.fail(n, "%s is %s, want a list", at, kindOf(n))
			}
			return nil
		}
		all := make([]V, 0, len(n.Content))
		for i, item := range n.Content {
			all = append(all, s.read(r, item, at.to(strconv.Itoa(i))))
		}
		return all
	}}
}
