package controlrepo

//go:generate go test -run TestSchemasAreGenerated -update .

// FleetSchema returns the JSON Schema of fleet.yaml.
func FleetSchema() []byte {
	return fleetShape().Schema.Encode("fleet.yaml", "What a fleet declares: hosts, remotes, policies and recipients.")
}

// StackSchema returns the JSON Schema of x-salvor, the part of a Compose file
// that is Salvor's.
func StackSchema() []byte {
	return stackShape().Schema.Encode("x-salvor", "What Salvor needs to know about a stack beside its Compose file.")
}
