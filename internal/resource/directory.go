package resource

import (
	"context"
	"fmt"
	"io/fs"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// A Directory is a directory with permissions, owner and group (root by
// default). What is in it is left alone. Its parent must exist or be a
// Directory.
type Directory struct {
	Path  string
	Mode  fs.FileMode
	Owner string
	Group string
	Needs []string
}

var _ converge.Resource = Directory{}

// ID returns "directory PATH".
func (d Directory) ID() string { return directoryID(d.Path) }

func directoryID(p string) string { return "directory " + p }

// Links puts the directory behind its parent and its owner.
func (d Directory) Links() converge.Links {
	return converge.Links{Needs: d.Needs, After: placed(d.Path, d.attributes()), Looks: observe.Query{Paths: []string{d.Path}}}
}

func (d Directory) attributes() attributes {
	return attributes{mode: d.Mode, owner: d.Owner, group: d.Group}
}

// Diff compares mode, owner and group.
func (d Directory) Diff(ctx context.Context, h *observe.Host) (*converge.Change, error) {
	is, err := h.File(ctx, d.Path)
	if err != nil {
		return nil, err
	}
	if !is.Exists {
		return &converge.Change{Action: converge.Makes, Cause: "is not there", Apply: quietly(func(ctx context.Context) error {
			// closed until it has its owner; a run interrupted in between shows as a wrong
			// mode. Someone else may have made it since: stacks are worked on meanwhile.
			if err := run(ctx, h, "mkdir", "-p", "-m", "0700", "--", d.Path); err != nil {
				return err
			}
			return d.attributes().set(ctx, h, d.Path)
		})}, nil
	}
	if !is.Mode.IsDir() {
		return nil, fmt.Errorf("there is something other than a directory (%s)", is.Mode.Type())
	}
	causes, err := d.attributes().causes(ctx, h, is)
	if err != nil {
		return nil, err
	}
	return because(causes, quietly(func(ctx context.Context) error { return d.attributes().set(ctx, h, d.Path) })), nil
}
