package resource

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A User is a local account with a group of its own name. Empty Home and Shell
// and zero UID leave the choice to useradd(8), and an account that exists
// alone. It is added to Groups and removed from none.
type User struct {
	Name   string
	UID    int
	System bool
	Home   string
	Shell  string
	Groups []string
	Needs  []string
}

var _ converge.Resource = User{}

// ID returns "user NAME".
func (u User) ID() string { return userID(u.Name) }

func userID(name string) string { return "user " + name }

// Links puts the user behind its groups.
func (u User) Links() converge.Links {
	links := converge.Links{Needs: u.Needs}
	for _, g := range u.Groups {
		links.After = append(links.After, groupID(g))
	}
	return links
}

// Diff compares the account and its groups.
func (u User) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	users, err := h.Users(ctx)
	if err != nil {
		return nil, err
	}
	is, ok := users[u.Name]
	if !ok {
		return &converge.Change{Action: converge.Makes, Cause: "is not there", Apply: quietly(func(ctx context.Context) error {
			return run(ctx, h, u.useradd()...)
		})}, nil
	}
	if u.UID != 0 && is.UID != u.UID {
		return nil, fmt.Errorf("has the id %d, want %d: files would get another owner", is.UID, u.UID)
	}
	groups, err := h.Groups(ctx)
	if err != nil {
		return nil, err
	}
	causes, argv := u.compare(is, groups)
	return because(causes, quietly(func(ctx context.Context) error { return run(ctx, h, append(argv, "--", u.Name)...) })), nil
}

// compare returns what differs and the usermod that makes it right.
func (u User) compare(is observe.User, groups map[string]observe.Group) (causes, argv []string) {
	argv = []string{"usermod"}
	if u.Home != "" && is.Home != u.Home {
		causes = append(causes, fmt.Sprintf("home is %s, want %s", is.Home, u.Home))
		argv = append(argv, "--home", u.Home)
	}
	if u.Shell != "" && is.Shell != u.Shell {
		causes = append(causes, fmt.Sprintf("shell is %s, want %s", is.Shell, u.Shell))
		argv = append(argv, "--shell", u.Shell)
	}
	var missing []string
	for _, name := range u.Groups {
		if g, ok := groups[name]; !ok || g.GID != is.GID && !slices.Contains(g.Members, u.Name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		causes = append(causes, "is not in "+strings.Join(missing, ", "))
		argv = append(argv, "--append", "--groups", strings.Join(missing, ","))
	}
	return causes, argv
}

func (u User) useradd() []string {
	argv := []string{"useradd", "--user-group"}
	if u.System {
		argv = append(argv, "--system")
	} else {
		argv = append(argv, "--create-home")
	}
	if u.UID != 0 {
		argv = append(argv, "--uid", strconv.Itoa(u.UID))
	}
	if u.Home != "" {
		argv = append(argv, "--home-dir", u.Home)
	}
	if u.Shell != "" {
		argv = append(argv, "--shell", u.Shell)
	}
	if len(u.Groups) > 0 {
		argv = append(argv, "--groups", strings.Join(u.Groups, ","))
	}
	return append(argv, "--", u.Name)
}
