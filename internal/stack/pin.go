package stack

import (
	"bytes"
	"fmt"
	"iter"

	"go.yaml.in/yaml/v3"

	"salvor/internal/project"
)

// Pin returns a rendered project whose services run the exact references
// ("repo:tag@sha256:…") that images has for them, as agentapi.Service.Reference
// decides. It may be called twice.
func Pin(compose []byte, images map[string]string) ([]byte, error) {
	if len(images) == 0 {
		return compose, nil
	}
	doc, err := parseProject(compose)
	if err != nil {
		return nil, err
	}
	services := entry(doc, "services")
	for name, service := range entries(services) {
		image := entry(service, "image")
		if image == nil {
			continue
		}
		s := project.Service{Name: name, Image: image.Value, Build: entry(service, "build") != nil}
		if ref := s.Reference(images); ref != image.Value {
			image.SetString(ref)
		}
	}
	return encodeProject(doc)
}

func parseProject(compose []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(compose, &doc); err != nil {
		return nil, fmt.Errorf("read rendered project: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("read rendered project: not a mapping")
	}
	return doc.Content[0], nil
}

func encodeProject(n *yaml.Node) ([]byte, error) {
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(n); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// entry returns the value of a mapping's key, or nil.
func entry(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// entries are a mapping's keys with their values.
func entries(n *yaml.Node) iter.Seq2[string, *yaml.Node] {
	return func(yield func(string, *yaml.Node) bool) {
		if n == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}
