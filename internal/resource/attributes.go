// Package resource has the kinds of things that a host is made of (files, packages, units,
// users and more) as resources of package converge, each in its own file. What a thing is
// like is read through observe. Kinds run on the host itself and know no domain.
package resource

import (
	"context"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// quick limits programs that only touch files or accounts.
const quick = time.Minute

// run runs a program that takes no time worth waiting for.
func run(ctx context.Context, m machine.Machine, argv ...string) error {
	_, err := m.Run(ctx, machine.Cmd{Argv: argv, Timeout: quick})
	return err
}

// attributes are what files and directories have in common. An empty owner or
// group is root.
type attributes struct {
	mode         fs.FileMode
	owner, group string
}

func (a attributes) names() (owner, group string) {
	owner, group = a.owner, a.group
	if owner == "" {
		owner = "root"
	}
	if group == "" {
		group = "root"
	}
	return owner, group
}

// causes says in which attributes what is there differs.
func (a attributes) causes(ctx context.Context, h *observe.Host, f observe.File) ([]string, error) {
	var causes []string
	if is, want := observe.OctalMode(f.Mode), observe.OctalMode(a.mode); is != want {
		causes = append(causes, fmt.Sprintf("mode is %s, want %s", is, want))
	}
	owner, group := a.names()
	if owner != "root" || f.UID != 0 {
		users, err := h.Users(ctx)
		if err != nil {
			return nil, err
		}
		if u, ok := users[owner]; !ok || u.UID != f.UID {
			causes = append(causes, fmt.Sprintf("owner is %s, want %s", userName(users, f.UID), owner))
		}
	}
	if group != "root" || f.GID != 0 {
		groups, err := h.Groups(ctx)
		if err != nil {
			return nil, err
		}
		if g, ok := groups[group]; !ok || g.GID != f.GID {
			causes = append(causes, fmt.Sprintf("group is %s, want %s", groupName(groups, f.GID), group))
		}
	}
	return causes, nil
}

func userName(users map[string]observe.User, uid int) string {
	for name, u := range users {
		if u.UID == uid {
			return name
		}
	}
	return fmt.Sprint(uid)
}

func groupName(groups map[string]observe.Group, gid int) string {
	for name, g := range groups {
		if g.GID == gid {
			return name
		}
	}
	return fmt.Sprint(gid)
}

// set gives path its owner, then its mode: chown drops setuid bits.
func (a attributes) set(ctx context.Context, m machine.Machine, path string) error {
	owner, group := a.names()
	if err := run(ctx, m, "chown", "--", owner+":"+group, path); err != nil {
		return err
	}
	return run(ctx, m, "chmod", "--", observe.OctalMode(a.mode), path)
}

// because returns a change of what is there, or nil for no causes.
func because(causes []string, apply func(context.Context, func(string)) error) *converge.Change {
	if len(causes) == 0 {
		return nil
	}
	return &converge.Change{Action: converge.Changes, Cause: strings.Join(causes, ", "), Apply: apply}
}

// quietly makes an Apply of a function that has nothing to report.
func quietly(apply func(context.Context) error) func(context.Context, func(string)) error {
	return func(ctx context.Context, _ func(string)) error { return apply(ctx) }
}
