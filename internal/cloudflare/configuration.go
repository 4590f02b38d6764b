package cloudflare

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"salvor/internal/route"
)

// A Configuration is what a tunnel's connectors do with requests. Members that are not the
// rules, as warp-routing and originRequest, are kept as they came.
type Configuration struct {
	Version int // 0 before it was set for the first time
	Ingress []route.Rule

	members []member // in their order; that of the rules has no value
}

type member struct {
	name  string
	value json.RawMessage
}

const ingress = "ingress"

// With returns the configuration with other rules.
func (c Configuration) With(rules []route.Rule) Configuration {
	c.Ingress = rules
	return c
}

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

func parseRules(content json.RawMessage) ([]route.Rule, error) {
	var raws []json.RawMessage
	if err := json.Unmarshal(content, &raws); err != nil {
		return nil, errors.New("the configuration's rules are not a list")
	}
	rules := make([]route.Rule, len(raws))
	for i, raw := range raws {
		if err := rules[i].UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("rule %d of the configuration is not what the API describes", i+1)
		}
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
func (c Configuration) encode() ([]byte, error) {
	members := c.members
	if c.Ingress != nil && !c.hasRules() {
		members = append([]member{{name: ingress}}, members...)
	}
	out := []byte{'{'}
	for i, m := range members {
		if i > 0 {
			out = append(out, ',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		out = append(append(out, name...), ':')
		if m.name != ingress {
			out = append(out, m.value...)
		} else if out, err = c.encodeRules(out); err != nil {
			return nil, err
		}
	}
	return append(out, '}'), nil
}

func (c Configuration) hasRules() bool {
	return slices.ContainsFunc(c.members, func(m member) bool { return m.name == ingress })
}

func (c Configuration) encodeRules(out []byte) ([]byte, error) {
	out = append(out, '[')
	for i, r := range c.Ingress {
		if i > 0 {
			out = append(out, ',')
		}
		raw, err := r.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("the rule of %s: %w", r.Hostname, err)
		}
		out = append(out, raw...)
	}
	return append(out, ']'), nil
}
