package stack

import (
	"fmt"

	"salvor/internal/project"
	"salvor/internal/yamldoc"
)

// Pin returns a rendered project whose services run the exact references
// ("repo:tag@sha256:…") that images has for them, as project.Service.Reference
// decides. It may be called twice.
func Pin(compose []byte, images map[string]string) ([]byte, error) {
	if len(images) == 0 {
		return compose, nil
	}
	doc, err := parseProject(compose)
	if err != nil {
		return nil, err
	}
	for name, service := range yamldoc.Entries(yamldoc.Find(doc, "services")) {
		image := yamldoc.Find(service, "image")
		if image == nil {
			continue
		}
		s := project.Service{Name: name, Image: image.Value, Build: yamldoc.Find(service, "build") != nil}
		if ref := s.Reference(images); ref != image.Value {
			image.SetString(ref)
		}
	}
	return yamldoc.Encode(doc)
}

func parseProject(compose []byte) (*yamldoc.Node, error) {
	root, err := yamldoc.Parse(ComposeFile, compose)
	if err != nil {
		return nil, fmt.Errorf("read rendered project: %w", err)
	}
	if root == nil || !yamldoc.IsMapping(root) {
		return nil, fmt.Errorf("read rendered project: not a mapping")
	}
	return root, nil
}
