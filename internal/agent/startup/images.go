package startup

import (
	"context"
	"fmt"

	"salvor/internal/project"
	"salvor/internal/stack"
)

// imageChanges compares what a deployment would run with what was deployed last.
func (s *Start) imageChanges(ctx context.Context, d stack.Deployment) (string, error) {
	was, _, err := s.Host.Stacks.Deployed(ctx, s.Name)
	return ImageChange(was, d), err
}

// ImageChange says which service gets another image than it runs with, "" for
// none. A service that is built is not compared: its image has no digest.
func ImageChange(ran stack.Record, d stack.Deployment) string {
	for _, s := range d.Project.Services {
		before, ok := ran.Images[s.Name]
		if !ok || s.Build {
			continue
		}
		now := s.Reference(d.Images)
		if project.Tagged(before) != project.Tagged(now) || project.Digested(now) && now != before {
			return fmt.Sprintf("the image of %s changes", s.Name)
		}
	}
	return ""
}
