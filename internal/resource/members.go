package resource

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// Members are the users in a local group: these, and no others. Whose primary group it is counts as one anyway. A user who
// is not there is an error, and so is a group that is not there once what it needs is.
type Members struct {
	Group string
	Users []string
	Needs []string
}

var _ converge.Resource = Members{}

// ID returns "members GROUP".
func (m Members) ID() string { return "members " + m.Group }

// Links puts the members behind the group and its users.
func (m Members) Links() converge.Links {
	links := converge.Links{Needs: m.Needs, After: []string{groupID(m.Group)}}
	for _, u := range m.Users {
		links.After = append(links.After, userID(u))
	}
	return links
}

// Diff compares the members, whatever their order.
func (m Members) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	groups, err := h.Groups(ctx)
	if err != nil {
		return nil, err
	}
	users, err := h.Users(ctx)
	if err != nil {
		return nil, err
	}
	want := slices.Compact(slices.Sorted(slices.Values(m.Users)))
	for _, name := range want {
		if _, known := users[name]; !known {
			return nil, fmt.Errorf("the host has no user %s", name)
		}
	}
	is, there := groups[m.Group]
	var causes []string
	for _, name := range is.Members {
		if !slices.Contains(want, name) {
			causes = append(causes, name+" is in it")
		}
	}
	for _, name := range want {
		if !slices.Contains(is.Members, name) {
			causes = append(causes, name+" is not in it")
		}
	}
	if !there && len(want) == 0 {
		return nil, nil // its package makes it, without members
	}
	return because(causes, quietly(func(ctx context.Context) error {
		return run(ctx, h, "gpasswd", "--members", strings.Join(want, ","), m.Group)
	})), nil
}
