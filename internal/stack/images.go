package stack

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/progress"
	"salvor/internal/project"
)

// fetch makes the images of a staged project available and returns the exact
// references to run, by service. What is pinned and present is not pulled; what
// is not pinned is pulled once and pinned to what came, so that this deploy and
// every later one run the same.
func (h *Host) fetch(ctx context.Context, d Deployment, c call, scope progress.Scope) (map[string]string, error) {
	pins := map[string]string{}
	var pull, build []string
	for _, s := range d.Project.Services {
		switch {
		case s.Idle:
		case s.Build:
			build = append(build, s.Name)
		case s.Image == "" || strings.Contains(s.Image, "${"): // Compose knows the value, and pulls at up
		default:
			ref := s.Reference(d.Images)
			present, err := h.engine.Digests(ctx, ref)
			if err != nil {
				return nil, err
			}
			if project.Digested(ref) {
				pins[s.Name] = ref
			}
			if !project.Digested(ref) || present == nil {
				pull = append(pull, s.Name)
			}
		}
	}
	if err := h.pull(ctx, d, c, pull, scope); err != nil {
		return nil, err
	}
	if len(build) > 0 {
		done := scope.Step("build images", strings.Join(build, ", "))
		err := h.compose(ctx, c.with(append([]string{"build", "--quiet"}, build...)...))
		done(err, "")
		if err != nil {
			return nil, err
		}
	}
	return pins, h.pinPulled(ctx, d, pins)
}

// pull pulls the images of services. When the registry does not answer but every
// image is here, the deploy continues with those.
func (h *Host) pull(ctx context.Context, d Deployment, c call, services []string, scope progress.Scope) error {
	if len(services) == 0 {
		return nil
	}
	done := scope.Step("pull images", strings.Join(services, ", "))
	err := h.compose(ctx, c.with(append([]string{"pull", "--quiet", "--policy", "always"}, services...)...))
	if err != nil && ctx.Err() == nil {
		for _, s := range d.Project.Services {
			if !slices.Contains(services, s.Name) {
				continue
			}
			if present, ierr := h.engine.Digests(ctx, s.Reference(d.Images)); ierr != nil || present == nil {
				err = fmt.Errorf("image of %s: %w", s.Name, err)
				done(err, "")
				return err
			}
		}
		scope.Note(fmt.Sprintf("registry: %v; using the images on the host", err))
		err = nil
	}
	done(err, "")
	return err
}

// pinPulled pins what has no digest yet to the one the registry gave. An image
// that never was in a registry has none and stays unpinned.
func (h *Host) pinPulled(ctx context.Context, d Deployment, pins map[string]string) error {
	for _, s := range d.Project.Services {
		if s.Idle || s.Build || s.Image == "" || pins[s.Name] != "" || strings.Contains(s.Image, "${") {
			continue
		}
		digests, err := h.engine.Digests(ctx, s.Image)
		if err != nil {
			return err
		}
		if digest := digestOf(s.Image, digests); digest != "" {
			pins[s.Name] = project.Tagged(s.Image) + "@" + digest
		}
	}
	return nil
}

// digestOf returns the digest under which an image's own repository knows it.
func digestOf(ref string, digests []string) string {
	registry, repository := project.Home(ref)
	for _, known := range digests {
		r, p := project.Home(known)
		if repository != "" && r == registry && p == repository && project.Digested(known) {
			return project.Digest(known)
		}
	}
	return ""
}
