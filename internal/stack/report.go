package stack

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/docker"
)

// ReportEngine says what a host's engine is and what it has, for all projects and none.
func ReportEngine(ctx context.Context, h *Host) (agentapi.Engine, error) {
	about, err := h.engine.About(ctx)
	if err != nil {
		return agentapi.Engine{}, err
	}
	containers, err := h.engine.All(ctx)
	if err != nil {
		return agentapi.Engine{}, err
	}
	volumes, err := h.engine.VolumeNames(ctx)
	if err != nil {
		return agentapi.Engine{}, err
	}
	e := agentapi.Engine{Version: about.Version, Runtimes: about.Runtimes, Networks: about.Networks, Volumes: volumes}
	for _, c := range containers {
		e.Containers = append(e.Containers, agentapi.HostContainer{Name: c.Name, Project: c.Project, Ports: c.Taken})
	}
	return e, nil
}

// offeredWithin is how long registries get to say what they have.
const offeredWithin = 5 * time.Second

// Offers asks the registries of images, by the names in Compose files, for which processors
// they have them: of those that are not on the host. A registry that wants a login is left
// out, since there is none yet.
func Offers(ctx context.Context, h *Host, references map[string]string) []agentapi.ImageOffer {
	ctx, cancel := context.WithTimeout(ctx, offeredWithin)
	defer cancel()
	var mu sync.Mutex
	var all []agentapi.ImageOffer
	var asked sync.WaitGroup
	for image, reference := range references {
		asked.Go(func() {
			offer, known := offered(ctx, h, image, reference)
			mu.Lock()
			defer mu.Unlock()
			if known {
				all = append(all, offer)
			}
		})
	}
	asked.Wait()
	slices.SortFunc(all, func(a, b agentapi.ImageOffer) int { return strings.Compare(a.Image, b.Image) })
	return all
}

// offered asks for one image; known is false where there is nothing to say.
func offered(ctx context.Context, h *Host, image, reference string) (offer agentapi.ImageOffer, known bool) {
	offer.Image = image
	if here, err := h.engine.Digests(ctx, reference); err != nil || here != nil {
		return offer, false
	}
	platforms, err := h.engine.Platforms(ctx, reference)
	switch {
	case errors.Is(err, docker.ErrDenied):
		return offer, false
	case errors.Is(err, docker.ErrNoSuch):
		offer.Unknown = "its registry does not have it"
	case ctx.Err() != nil:
		offer.Unknown = "its registry did not answer in " + offeredWithin.String()
	case err != nil:
		offer.Unknown = "its registry can't be asked"
	}
	offer.Platforms = platforms
	return offer, err != nil || len(platforms) > 0
}
