package controlrepo

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

func TestSchemasAreGenerated(t *testing.T) {
	for name, want := range map[string][]byte{"fleet.schema.json": FleetSchema(), "x-salvor.schema.json": StackSchema()} {
		file := filepath.Join("../../docs/reference", name)
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/reference/%s is stale: go generate ./internal/controlrepo", name)
		}
	}
}

// TestSchemaAgreesWithDecoder reads documents with an independent validator:
// what the decoder's shapes accept or refuse, the schema does as well.
func TestSchemaAgreesWithDecoder(t *testing.T) {
	tests := map[string]struct {
		in   string
		want bool
	}{
		"the design's":       {designFleet, true},
		"nothing under keys": {"fleet: home\nhosts:\nremotes:\nx-mine: [1]\n", true},
		"no name":            {"hosts: {}\n", false},
		"unknown key":        {"fleet: home\nhots: {}\n", false},
		"unknown host key":   {"fleet: home\nhosts: {a: {address: b, prot: 1}}\n", false},
		"bad host name":      {"fleet: home\nhosts: {A: {address: b}}\n", false},
		"bad port":           {"fleet: home\nhosts: {a: {address: b, port: 0}}\n", false},
		"bad duration":       {"fleet: home\nremotes: {r: {type: s3}}\ndata: {snapshots: [{name: a, remote: r, path: p, every: 15x}]}\n", false},
		"newer":              {"fleet: home\nschema: 2\n", false},
		"untyped remote":     {"fleet: home\nremotes: {r: {a: b}}\n", false},
		"list as remote":     {"fleet: home\nremotes: {r: {type: s3, a: [b]}}\n", false},
		"plain password":     {"fleet: home\nregistries: {r: {username: a, password: b}}\n", false},
		"command's secret":   {"fleet: home\nsecrets: {a/B: {command: [op, read], rotate: 12w}}\n", true},
		"command as text":    {"fleet: home\nsecrets: {a: {command: op read}}\n", false},
		"misspelt command":   {"fleet: home\nsecrets: {a: {comand: [op]}}\n", false},
		"revision of none":   {"fleet: home\nsecrets: {a: {command: [op], revision: 0}}\n", false},
		"areas":              {"fleet: home\nhosts: {a: {address: b, manage: [time, docker]}, b: {address: c, manage: []}, c: {address: d, manage: }}\n", true},
		"area that is named": {"fleet: home\nhosts: {a: {address: b, manage: [docker, time, updates, ssh, firewall]}}\n", true},
		"unknown area":       {"fleet: home\nhosts: {a: {address: b, manage: [dcoker]}}\n", false},
		"area as text":       {"fleet: home\nhosts: {a: {address: b, manage: docker}}\n", false},
		"from outside":       {"fleet: home\nssh: {from: [tailnet, 192.0.2.0/24]}\nhosts: {a: {address: b, manage: [firewall], open: [80, 443/tcp, 6000-6010/udp], ssh: {from: [\"2001:db8::1\"]}}}\n", true},
		"a protocol of none": {"fleet: home\nhosts: {a: {address: b, manage: [firewall], open: [80/sctp]}}\n", false},
		"choice":             {"fleet: home\ndocker: {channel: mine}\n", false},
	}
	schema := compile(t, FleetSchema())
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			problems := &yamldoc.Report{}
			decodeFleet(yamldoc.NewReader(fleet.File, problems), []byte(test.in), "")
			if got := problems.Err() == nil; got != test.want {
				t.Errorf("decoder accepts: %v, want %v: %v", got, test.want, problems.Err())
			}
			if err := schema.Validate(instance(t, test.in)); (err == nil) != test.want {
				t.Errorf("schema accepts: %v, want %v: %v", err == nil, test.want, err)
			}
		})
	}
	compile(t, StackSchema())
}

func compile(t *testing.T, schema []byte) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func instance(t *testing.T, in string) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(in), &v); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}
