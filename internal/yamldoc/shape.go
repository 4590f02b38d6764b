package yamldoc

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"salvor/internal/suggest"
)

// A Shape is what a value in a file must look like. It decodes a node into a
// value and describes itself as JSON Schema, so that the two cannot differ.
//
// Decode reports problems to the reader and returns what it could read; the
// value counts only when no problem was reported anywhere.
type Shape[T any] struct {
	Decode func(r *Reader, n *yaml.Node, at Path) T
	Schema *Schema
}

// Read decodes the node that n stands for and remembers its place.
func (s Shape[T]) Read(r *Reader, n *yaml.Node, at Path) (value T) {
	r.Places[at.ID()] = r.Position(n)
	r.Follow(n, func(n *yaml.Node) { value = s.Decode(r, n, at) })
	return value
}

// A Field is one key of an object.
type Field[T any] struct {
	Key      string
	required bool
	Schema   *Schema
	Decode   func(r *Reader, n *yaml.Node, at Path, into *T)
}

// Key declares a field: its name, what the documentation says, the shape of its
// value and where the value goes.
func Key[T, V any](name, doc string, s Shape[V], put func(*T, V)) Field[T] {
	return Field[T]{Key: name, Schema: s.Schema.Describe(doc), Decode: func(r *Reader, n *yaml.Node, at Path, into *T) {
		put(into, s.Read(r, n, at))
	}}
}

// Must makes a field one that has to be there.
func (f Field[T]) Must() Field[T] {
	f.required = true
	return f
}

// Object is a mapping with known keys. Nothing (`hosts:` with no value) is an
// object without keys.
func Object[T any](fields ...Field[T]) Shape[T] {
	s := &Schema{Type: Types{"object", "null"}, Properties: map[string]*Schema{}, AdditionalProperties: &Schema{nothing: true}}
	byKey := map[string]Field[T]{}
	for _, f := range fields {
		byKey[f.Key] = f
		s.Properties[f.Key] = f.Schema
		if f.required {
			s.Required = append(s.Required, f.Key)
			s.Type = Types{"object"}
		}
	}
	known := slices.Collect(maps.Keys(byKey))
	return Shape[T]{Schema: s, Decode: func(r *Reader, n *yaml.Node, at Path) (value T) {
		seen := map[string]bool{}
		for _, p := range r.Mapping(n, at) {
			f, ok := byKey[p.Key.Value]
			if !ok {
				r.Fail(p.Key, "unknown key %q%s", p.Key.Value, suggest.DidYouMean(p.Key.Value, known))
				continue
			}
			seen[f.Key] = true
			f.Decode(r, p.Value, at.To(f.Key), &value)
		}
		for _, f := range fields {
			if f.required && !seen[f.Key] && (n.Kind == yaml.MappingNode || IsNull(n)) {
				r.Fail(n, "%s has no %q", at.orFile(), f.Key)
			}
		}
		return value
	}}
}

// Extensible lets an object have keys that start with x-, as a place for
// anchors; their values are not read.
func Extensible[T any](s Shape[T]) Shape[T] {
	described := *s.Schema
	described.PatternProperties = map[string]*Schema{"^x-": {}}
	return Shape[T]{Schema: &described, Decode: func(r *Reader, n *yaml.Node, at Path) T {
		if n.Kind == yaml.MappingNode {
			n = withoutExtensions(n)
		}
		return s.Decode(r, n, at)
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

// An Entry is one item of a mapping whose keys are names.
type Entry[V any] struct {
	Name  string
	Value V
}

// A Naming is the rule for the keys of such a mapping.
type Naming struct {
	Pattern string
	Check   func(string) error
}

// Named is a mapping from names to values of one shape, in the order of the
// file. An entry whose value has problems is kept, so that what refers to its
// name is not reported as well.
func Named[V any](rule Naming, s Shape[V]) Shape[[]Entry[V]] {
	desc := &Schema{Type: Types{"object", "null"}, PropertyNames: &Schema{Pattern: rule.Pattern}, AdditionalProperties: s.Schema}
	return Shape[[]Entry[V]]{Schema: desc, Decode: func(r *Reader, n *yaml.Node, at Path) []Entry[V] {
		var all []Entry[V]
		for _, p := range r.Mapping(n, at) {
			if err := rule.Check(p.Key.Value); err != nil {
				r.Fail(p.Key, "%v", err)
				continue
			}
			inside := at.To(p.Key.Value)
			value := s.Read(r, p.Value, inside)
			r.Places[inside.ID()] = r.Position(p.Key)
			all = append(all, Entry[V]{p.Key.Value, value})
		}
		return all
	}}
}

// List is a sequence of values of one shape. Nothing is an empty list.
func List[V any](s Shape[V]) Shape[[]V] {
	desc := &Schema{Type: Types{"array", "null"}, Items: s.Schema}
	return Shape[[]V]{Schema: desc, Decode: func(r *Reader, n *yaml.Node, at Path) []V {
		if n.Kind != yaml.SequenceNode {
			if !IsNull(n) {
				r.Fail(n, "%s is %s, want a list", at, KindOf(n))
			}
			return nil
		}
		all := make([]V, 0, len(n.Content))
		for i, item := range n.Content {
			all = append(all, s.Read(r, item, at.To(strconv.Itoa(i))))
		}
		return all
	}}
}
