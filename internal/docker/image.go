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
