package secretchange

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/proposal"
	"salvor/internal/secretnames"
)

// PrepareRemove proposes to remove a secret that nothing uses.
func (c *Changes) PrepareRemove(ctx context.Context, name string) (proposal.Proposal[Changed], error) {
	none := proposal.Proposal[Changed]{}
	if command, own := secretnames.Replacing(name); own {
		return none, fault.WithHint(errors.New(name+" is one of the fleet's own keys"), command)
	}
	files, err := c.identity.Store.Writer().Remove(ctx, name)
	if err != nil {
		return none, err
	}
	if err := c.unused(name); err != nil {
		return none, err
	}
	if err := c.exposed.NoteChanged(files, name); err != nil {
		return none, err
	}
	p := c.proposed("rm", name, files)
	p.Question = fmt.Sprintf("Remove %s? Git's history keeps it, encrypted.", name)
	return p, nil
}

// unused returns what speaks against removing a secret.
func (c *Changes) unused(name string) error {
	if uses := c.UsedBy(name); len(uses) > 0 {
		return fault.WithHint(fmt.Errorf("%s is used by %s", name, strings.Join(uses, "; ")), "remove it there first, and commit that")
	}
	if stack := c.needs.Unloaded(name); stack != "" {
		return fault.WithHint(unloaded(stack, "whether it uses "+name), "salvor check, and correct the stack")
	}
	if _, said := c.checkout.Fleet.Secret(name); said {
		return fault.WithHint(fmt.Errorf("%s: %s has settings for %s", c.checkout.Place("secrets", name), fleet.File, name), "remove them first, and commit that")
	}
	return nil
}
