package yamldoc

import (
	"bytes"
	"encoding/json"
)

// A Schema describes a value as JSON Schema, draft 2020-12: what editors need
// to complete and check fleet.yaml and x-salvor. It is made by the same shapes
// that decode.
type Schema struct {
	Dialect              string             `json:"$schema,omitempty"`
	ID                   string             `json:"$id,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 Types              `json:"type,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              *int               `json:"minimum,omitempty"`
	Maximum              *int               `json:"maximum,omitempty"`
	Items                *Schema            `json:"items,omitempty"`
	PropertyNames        *Schema            `json:"propertyNames,omitempty"`
	Properties           map[string]*Schema `json:"properties,omitempty"`
	PatternProperties    map[string]*Schema `json:"patternProperties,omitempty"`
	AdditionalProperties *Schema            `json:"additionalProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	nothing              bool               // no value fits: written as false
}

// Types is a JSON type or several.
type Types []string

// MarshalJSON writes one type as a string, several as a list.
func (t Types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// MarshalJSON writes the schema that nothing fits as false.
func (s *Schema) MarshalJSON() ([]byte, error) {
	if s.nothing {
		return []byte("false"), nil
	}
	type plain Schema
	return json.Marshal((*plain)(s))
}

// Describe returns the schema with a description.
func (s *Schema) Describe(text string) *Schema {
	described := *s
	described.Description = text
	return &described
}

// Encode returns the schema as a file of its own.
func (s *Schema) Encode(title, description string) []byte {
	doc := *s
	doc.Dialect = "https://json-schema.org/draft/2020-12/schema"
	doc.Title, doc.Description = title, description
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(&doc); err != nil {
		panic("salvor: internal error: encode schema of " + title + ": " + err.Error())
	}
	return out.Bytes()
}
