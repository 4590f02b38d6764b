package compose

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/schema"
)

// A specification is a part of the JSON Schema of Compose files, as far as it says which
// keys a mapping can have.
type specification struct {
	Ref        string                   `json:"$ref"`
	Defs       map[string]specification `json:"$defs"`
	Properties map[string]specification `json:"properties"`
	Patterns   map[string]specification `json:"patternProperties"`
	Items      *specification           `json:"items"`
	OneOf      []specification          `json:"oneOf"`
	AnyOf      []specification          `json:"anyOf"`
	AllOf      []specification          `json:"allOf"`
}

// knownKeys returns the keys that Compose knows for the mapping at a path, sorted.
func knownKeys(path []string) []string {
	var whole specification
	if err := json.Unmarshal([]byte(schema.Schema), &whole); err != nil {
		return nil // a hint less
	}
	at := []specification{whole}
	for _, key := range path {
		var below []specification
		for _, s := range at {
			below = append(below, s.below(key, whole)...)
		}
		at = below
	}
	var keys []string
	for _, s := range at {
		keys = append(keys, slices.Collect(maps.Keys(s.Properties))...)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// below returns what a key or an item of s can be.
func (s specification) below(key string, whole specification) []specification {
	var found []specification
	if p, is := s.Properties[key]; is {
		found = append(found, p)
	} else {
		for pattern, p := range s.Patterns {
			if re, err := regexp.Compile(pattern); err == nil && re.MatchString(key) {
				found = append(found, p)
			}
		}
	}
	if s.Items != nil {
		found = append(found, *s.Items)
	}
	var all []specification
	for _, each := range found {
		all = append(all, each.resolved(whole)...)
	}
	return all
}

// resolved follows references and lists the choices.
func (s specification) resolved(whole specification) []specification {
	if name, is := strings.CutPrefix(s.Ref, "#/$defs/"); is {
		return whole.Defs[name].resolved(whole)
	}
	all := []specification{s}
	for _, choice := range slices.Concat(s.OneOf, s.AnyOf, s.AllOf) {
		all = append(all, choice.resolved(whole)...)
	}
	return all
}
