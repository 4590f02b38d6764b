package controlrepo

import (
	"bytes"
	"encoding/json"
)

// A schema describes a value as JSON Schema, draft 2020-12: what editors need
// to complete and check fleet.yaml and x-salvor. It is made by the same shapes
// that decode.
type schema struct {
	Dialect              string             `json:"$schema,omitempty"`
	ID                   string             `json:"$id,omitempty"`
	Title                string             `json:"title,omitempty"`
	Description          string             `json:"description,omitempty"`
	Type                 types              `json:"type,omitempty"`
	Enum                 []string           `json:"enum,omitempty"`
	Pattern              string             `json:"pattern,omitempty"`
	Minimum              *int               `json:"minimum,omitempty"`
	Maximum              *int               `json:"maximum,omitempty"`
	Items                *schema            `json:"items,omitempty"`
	PropertyNames        *schema            `json:"propertyNames,omitempty"`
	Properties           map[string]*schema `json:"properties,omitempty"`
	PatternProperties    map[string]*schema `json:"patternProperties,omitempty"`
	AdditionalProperties *schema            `json:"additionalProperties,omitempty"`
	Required             []string           `json:"required,omitempty"`
	nothing              bool               // no value fits: written as false
}

// types is a JSON type or several.
type types []string

// MarshalJSON writes one type as a string, several as a list.
func (t types) MarshalJSON() ([]byte, error) {
	if len(t) == 1 {
		return json.Marshal(t[0])
	}
	return json.Marshal([]string(t))
}

// MarshalJSON writes the schema that nothing fits as false.
func (s *schema) MarshalJSON() ([]byte, error) {
	if s.nothing {
		return []byte("false"), nil
	}
	type plain schema
	return json.Marshal((*plain)(s))
}

func (s *schema) describe(text string) *schema {
	described := *s
	described.Description = text
	return &described
}

//go:generate go test -run TestSchemasAreGenerated -update .

// FleetSchema returns the JSON Schema of fleet.yaml.
func FleetSchema() []byte {
	return encodeSchema("fleet.yaml", "What a fleet declares: hosts, remotes, policies and recipients.", fleetShape().schema)
}

// StackSchema returns the JSON Schema of x-salvor, the part of a Compose file
// that is Salvor's.
func StackSchema() []byte {
	return encodeSchema("x-salvor", "What Salvor needs to know about a stack in addition to its Compose file.", stackShape().schema)
}

func encodeSchema(title, description string, shape *schema) []byte {
	s := *shape
	s.Dialect = "https://json-schema.org/draft/2020-12/schema"
	s.Title, s.Description = title, description
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(&s); err != nil {
		panic("salvor: internal error: encode schema of " + title + ": " + err.Error())
	}
	return out.Bytes()
}
