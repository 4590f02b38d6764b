package cloudflare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A Configuration is what a tunnel's connectors do with requests. Members that are not the
// rules, as warp-routing and originRequest, are kept as they came.
type Configuration struct {
	Version int // 0 before it was set for the first time
	Ingress []Rule

	members []member // in their order; that of the rules has no value
}

type member struct {
	name  string
	value json.RawMessage
}

const ingress = "ingress"

// With returns the configuration with other rules.
func (c Configuration) With(rules []Rule) Configuration {
	c.Ingress = rules
	return c
}

// A Rule is one line of the ingress list: its bytes as Cloudflare has them, and what they say.
type Rule struct {
	Hostname string          // "" for any
	Path     string          // a Go regexp, "" for any
	Service  string          // what answers
	Origin   json.RawMessage // originRequest, nil for none

	raw json.RawMessage
}

// NewRule returns a rule with the bytes that say so.
func NewRule(hostname, path, service string, origin json.RawMessage) (Rule, error) {
	raw, err := json.Marshal(ruleJSON{hostname, path, service, origin})
	if err != nil {
		return Rule{}, fmt.Errorf("the rule of %s: %w", hostname, err)
	}
	return Rule{Hostname: hostname, Path: path, Service: service, Origin: origin, raw: raw}, nil
}

type ruleJSON struct {
	Hostname string          `json:"hostname,omitempty"`
	Path     string          `json:"path,omitempty"`
	Service  string          `json:"service"`
	Origin   json.RawMessage `json:"originRequest,omitempty"`
}

// Raw returns the rule's bytes.
func (r Rule) Raw() json.RawMessage { return r.raw }

// parseConfiguration reads a configuration; null and nothing are an empty one.
func parseConfiguration(content json.RawMessage) (Configuration, error) {
	if len(content) == 0 || string(content) == "null" {
		return Configuration{}, nil
	}
	members, err := parseMembers(content)
	if err != nil {
		return Configuration{}, fmt.Errorf("the configuration is not what the API describes: %w", err)
	}
	var c Configuration
	for _, m := range members {
		if m.name != ingress {
			c.members = append(c.members, m)
			continue
		}
		if c.Ingress != nil {
			return Configuration{}, errors.New("the configuration has its rules twice")
		}
		c.members = append(c.members, member{name: ingress})
		if c.Ingress, err = parseRules(m.value); err != nil {
			return Configuration{}, err
		}
	}
	return c, nil
}

func parseRules(content json.RawMessage) ([]Rule, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(content, &raws); err != nil {
		return nil, errors.New("the configuration's rules are not a list")
	}
	rules := make([]Rule, 0, len(raws))
	for i, raw := range raws {
		var r ruleJSON
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("rule %d of the configuration is not what the API describes", i+1)
		}
		rules = append(rules, Rule{r.Hostname, r.Path, r.Service, r.Origin, raw})
	}
	return rules, nil
}

// parseMembers returns an object's members in their order, with the bytes of each value.
func parseMembers(content json.RawMessage) ([]member, error) {
	dec := json.NewDecoder(bytes.NewReader(content))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, errors.New("not an object")
	}
	var all []member
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		m := member{name: name.(string)} // within an object a value's name is a string
		if err := dec.Decode(&m.value); err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return all, nil
}

// encode writes the configuration. json.Marshal would rewrite the bytes that are kept.
func (c Configuration) encode() []byte {
	members := c.members
	if c.Ingress != nil && !c.hasRules() {
		members = append([]member{{name: ingress}}, members...)
	}
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		name, _ := json.Marshal(m.name) // a string can be encoded
		out = append(append(out, name...), ':')
		if m.name == ingress {
			out = c.encodeRules(out)
		} else {
			out = append(out, m.value...)
		}
	}
	return append(out, '}')
}

func (c Configuration) hasRules() bool {
	for _, m := range c.members {
		if m.name == ingress {
			return true
		}
	}
	return false
}

func (c Configuration) encodeRules(out []byte) []byte {
	out = append(out, '[')
	for i, r := range c.Ingress {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(out, r.raw...)
	}
	return append(out, ']')
}
