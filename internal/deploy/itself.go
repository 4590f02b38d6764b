package deploy

import (
	"context"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/terminal"
)

// Itself plans what an apply would change on one host, as h declares it, in addition to
// its stacks. Nothing is written anywhere.
func Itself(ctx context.Context, s *Session, h fleet.Host) HostPlan {
	hp := hostPlan(h.Name, s.observeHost(ctx, h, s.Lock), nil)
	hp.Changes = slices.DeleteFunc(hp.Changes, func(c agentapi.Change) bool { return c.Stack != "" })
	return hp
}

// Render lays one host's part out as Plan.Render does.
func (hp HostPlan) Render(page *terminal.Page) {
	switch {
	case hp.Unreachable != "":
		renderUnreachable(page, hp)
	case !hp.New && len(hp.Changes) == 0:
		page.Printf("\n%s: nothing changes.\n", hp.Host)
	default:
		renderHost(page, hp)
	}
}
