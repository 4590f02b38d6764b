package controlrepo

import (
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/schema"
)

//go:generate go test -run TestSchemasAreGenerated -update .

// A Schema is a JSON Schema for editors.
type Schema struct {
	Name    string // as `salvor schema` calls it
	File    string // its name in the Git folder of a clone, which the files of init name
	Content []byte
}

// Schemas returns those of the files that an operator edits.
func Schemas() ([]Schema, error) {
	compose, err := ComposeSchema()
	return []Schema{{"fleet", "fleet.schema.json", FleetSchema()}, {"compose", "compose.schema.json", compose}}, err
}

// FleetSchema returns the JSON Schema of fleet.yaml.
func FleetSchema() []byte {
	return fleetShape().Schema.Encode("fleet.yaml", "What a fleet declares: hosts, remotes, policies and recipients.")
}

// StackSchema returns the JSON Schema of x-salvor, the part of a Compose file
// that is Salvor's.
func StackSchema() []byte {
	return stackShape().Schema.Encode("x-salvor", "What Salvor needs to know about a stack in addition to its Compose file.")
}

// ComposeSchema returns the JSON Schema of a stack's Compose file: that of Compose itself,
// with x-salvor in it.
func ComposeSchema() ([]byte, error) {
	var whole, properties, own map[string]json.RawMessage
	if err := json.Unmarshal([]byte(schema.Schema), &whole); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(whole["properties"], &properties); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(StackSchema(), &own); err != nil {
		return nil, err
	}
	delete(own, "$schema") // it is the whole one's
	var err error
	if properties["x-salvor"], err = json.Marshal(own); err != nil {
		return nil, err
	}
	if whole["properties"], err = json.Marshal(properties); err != nil {
		return nil, err
	}
	return json.MarshalIndent(whole, "", "  ")
}
