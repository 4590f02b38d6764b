package resource

import (
	"context"
	"fmt"
	"strconv"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Group is a local group. GID 0 leaves the choice to groupadd(8). Its members
// are left alone: a User says which groups it is in.
type Group struct {
	Name   string
	GID    int
	System bool
	Needs  []string
}

var _ converge.Resource = Group{}

// ID returns "group NAME".
func (g Group) ID() string { return groupID(g.Name) }

func groupID(name string) string { return "group " + name }

// Links returns the needs.
func (g Group) Links() converge.Links { return converge.Links{Needs: g.Needs} }

// Diff says whether the group is missing. Another id than the wanted one is an
// error.
func (g Group) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	groups, err := h.Groups(ctx)
	if err != nil {
		return nil, err
	}
	is, ok := groups[g.Name]
	if !ok {
		return &converge.Change{Action: converge.Makes, Cause: "is not there", Apply: quietly(func(ctx context.Context) error {
			return run(ctx, h, g.groupadd()...)
		})}, nil
	}
	if g.GID != 0 && is.GID != g.GID {
		return nil, fmt.Errorf("has the id %d, want %d: files would get another owner", is.GID, g.GID)
	}
	return nil, nil
}

func (g Group) groupadd() []string {
	argv := []string{"groupadd"}
	if g.System {
		argv = append(argv, "--system")
	}
	if g.GID != 0 {
		argv = append(argv, "--gid", strconv.Itoa(g.GID))
	}
	return append(argv, "--", g.Name)
}
