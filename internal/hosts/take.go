package hosts

import (
	"context"
	"fmt"

	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// PrepareTake proposes to have Salvor take care of one more area of a declared host: a
// commit, which the next apply makes true. The receipt reports whether anything was
// committed: not where the area is Salvor's already.
func (c *Changes) PrepareTake(name string, area fleet.Area) (proposal.Proposal[bool], error) {
	p := proposal.New(fmt.Sprintf("take %s of %s", area, name), func(ctx context.Context, _ progress.Sink) (bool, error) {
		return c.take(ctx, name, area)
	})
	h, err := placement.Host(&c.checkout.Fleet, name)
	if err == nil && !h.Manage.Has(area) {
		p.Question = fmt.Sprintf("Let Salvor take care of %s on %s?", area, name)
	}
	return p, err
}

func (c *Changes) take(ctx context.Context, name string, area fleet.Area) (bool, error) {
	h, err := placement.Host(&c.checkout.Fleet, name)
	if err != nil || h.Manage.Has(area) {
		return false, err
	}
	content, err := c.checkout.File(fleet.File)
	if err == nil {
		content, err = controlrepo.AddArea(content, name, area)
	}
	if err != nil {
		return false, err
	}
	return true, c.checkout.CommitFiles(ctx, map[string][]byte{fleet.File: content}, fmt.Sprintf("host take: %s %s", name, area))
}
