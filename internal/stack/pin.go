package stack

import (
	"bytes"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pin returns a rendered project in which the services named in images run
// these exact references ("repo:tag@sha256:…"). A pin whose tag is not the one
// written is left out: the image was changed since. It may be called twice.
func Pin(compose []byte, images map[string]string) ([]byte, error) {
	if len(images) == 0 {
		return compose, nil
	}
	doc, err := parseProject(compose)
	if err != nil {
		return nil, err
	}
	services := entry(doc, "services")
	for service, pinned := range images {
		image := entry(entry(services, service), "image")
		if image != nil && tagOf(pinned) == tagOf(image.Value) {
			image.SetString(pinned)
		}
	}
	return encodeProject(doc)
}

// tagOf is a reference without its digest.
func tagOf(ref string) string {
	tag, _, _ := strings.Cut(ref, "@")
	return tag
}

// digested reports whether a reference names exact content.
func digested(ref string) bool { return strings.Contains(ref, "@sha256:") }

func parseProject(compose []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(compose, &doc); err != nil {
		return nil, fmt.Errorf("read rendered project: %w", err)
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("read rendered project: no mapping")
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
