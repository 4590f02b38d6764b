package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"salvor/internal/project"
)

// Digests returns the repository digests of a local image, which may be none, or
// nil when the image is not here.
func (e *Engine) Digests(ctx context.Context, ref string) ([]string, error) {
	if project.Digested(ref) {
		ref = project.Repository(ref) + "@" + project.Digest(ref)
	}
	answer, err := e.get(ctx, "/images/"+ref+"/json")
	if errors.Is(err, ErrNoSuch) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return parseImage(answer)
}

func parseImage(answer []byte) ([]string, error) {
	var in struct{ RepoDigests []string }
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's image: %w", err)
	}
	return append([]string{}, in.RepoDigests...), nil
}

// Platforms asks an image's registry, without a login, for which platforms it is there:
// "linux/arm64/v8". An error wraps ErrDenied where the registry wants a login, and ErrNoSuch
// where it does not have the image.
func (e *Engine) Platforms(ctx context.Context, ref string) ([]string, error) {
	if project.Digested(ref) {
		ref = project.Repository(ref) + "@" + project.Digest(ref)
	}
	answer, err := e.get(ctx, "/distribution/"+ref+"/json")
	if err != nil {
		return nil, err
	}
	return parsePlatforms(answer)
}

// parsePlatforms reads the answer to GET /distribution/{name}/json, without what is there
// for no processor, such as attestations.
func parsePlatforms(answer []byte) ([]string, error) {
	var in struct {
		Platforms []struct{ OS, Architecture, Variant string }
	}
	if err := json.Unmarshal(answer, &in); err != nil {
		return nil, fmt.Errorf("read the Docker engine's image: %w", err)
	}
	var all []string
	for _, p := range in.Platforms {
		if p.OS == "" || p.OS == "unknown" || p.Architecture == "" || p.Architecture == "unknown" {
			continue
		}
		name := p.OS + "/" + p.Architecture
		if p.Variant != "" {
			name += "/" + p.Variant
		}
		all = append(all, name)
	}
	return all, nil
}
