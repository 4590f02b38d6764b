package parts

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// A Difference is what changed from one snapshot of a stack to another.
type Difference struct {
	From    Snapshot       `json:"from"`
	To      Snapshot       `json:"to"`
	Volumes []VolumeChange `json:"volumes,omitempty"` // those that differ, by name
}

// A VolumeChange is what changed in one volume. Where one of the two has the files and the
// other a dump, Forms says so, and the files are not compared.
type VolumeChange struct {
	Name    string   `json:"name"`
	Forms   string   `json:"forms,omitempty"`
	Changes []Change `json:"changes,omitempty"`
}

// What happened to a file or folder.
const (
	Added   = "+"
	Removed = "-"
	Changed = "~"
)

// A Change is one file that differs, or a folder that is new or gone, with all in it.
type Change struct {
	What   string `json:"what"` // Added, Removed or Changed
	Path   string `json:"path"` // in the volume, "." for the volume itself
	Type   string `json:"type"` // as in Entry
	Files  int    `json:"files,omitempty"`
	Before int64  `json:"before"`        // bytes
	After  int64  `json:"after"`         // bytes
	How    string `json:"how,omitempty"` // of what changed: "content", "mode 0644 to 0600", …
}

// Diff compares two snapshots of one stack, which may be in different repositories. Times of
// files do not count.
func (r *Reader) Diff(ctx context.Context, from, to Choice) (Difference, error) {
	var d Difference
	err := r.on(ctx, from, func(a *opened) error {
		if to.Stack == "" && (to.ID == "" || to.ID == Latest) {
			to.Stack = a.archive.Stack
		}
		return r.on(ctx, to, func(b *opened) error {
			if a.archive.Stack != b.archive.Stack {
				return fault.WithHint(fmt.Errorf("snapshot %s is of %s, and %s of %s", repository.ShortID(a.Info.ID), a.archive.Stack, repository.ShortID(b.Info.ID), b.archive.Stack),
					"two snapshots of one stack can be compared")
			}
			d = Difference{From: a.snapshot(), To: b.snapshot()}
			c := comparison{before: a, after: b, same: a.archive.ID == b.archive.ID}
			if c.same {
				b.Repo = a.Repo // its index is read once
			}
			var err error
			d.Volumes, err = c.volumes(ctx)
			return err
		})
	})
	return d, err
}

// A comparison is one under way.
type comparison struct {
	before, after *opened
	same          bool // both are in one repository: what has the same id has the same content
	found         []Change
}

func (c *comparison) volumes(ctx context.Context) ([]VolumeChange, error) {
	was, err := c.before.named(ctx, c.before.Root)
	if err != nil {
		return nil, err
	}
	is, err := c.after.named(ctx, c.after.Root)
	if err != nil {
		return nil, err
	}
	var all []VolumeChange
	for _, name := range names(was, is) {
		if snapshot.IsOwn(name) {
			continue
		}
		v := VolumeChange{Name: name}
		a, b := c.before.formAt("/"+name), c.after.formAt("/"+name)
		_, both := was[name]
		if _, there := is[name]; both && there && a != b {
			v.Forms = fmt.Sprintf("%s in the one and %s in the other", a, b)
		} else if err := c.entry(ctx, ".", was, is, name); err != nil {
			return nil, fmt.Errorf("volume %s: %w", name, err)
		}
		if v.Changes, c.found = c.found, nil; v.Forms != "" || len(v.Changes) > 0 {
			all = append(all, v)
		}
	}
	return all, nil
}

// named are the files of a folder by their names.
func (o *opened) named(ctx context.Context, folder repository.Node) (map[string]repository.Node, error) {
	nodes, err := o.Repo.Tree(ctx, folder.Subtree)
	all := map[string]repository.Node{}
	for _, n := range nodes {
		all[n.Name] = n
	}
	return all, err
}

func names(a, b map[string]repository.Node) []string {
	return slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, m := range []map[string]repository.Node{a, b} {
			for name := range maps.Keys(m) {
				if !yield(name) {
					return
				}
			}
		}
	}))
}

// entry compares what is called name in two folders.
func (c *comparison) entry(ctx context.Context, at string, was, is map[string]repository.Node, name string) error {
	a, before := was[name]
	b, after := is[name]
	switch {
	case !before:
		return c.whole(ctx, c.after, Change{What: Added, Path: at}, b)
	case !after:
		return c.whole(ctx, c.before, Change{What: Removed, Path: at}, a)
	}
	how, err := c.how(ctx, a, b)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	if how != "" {
		c.found = append(c.found, Change{What: Changed, Path: at, Type: b.Type, Before: a.Size, After: b.Size, How: how})
	}
	if a.Type != "dir" || b.Type != "dir" || c.same && a.Subtree == b.Subtree {
		return nil
	}
	return c.folder(ctx, at, a, b)
}

func (c *comparison) folder(ctx context.Context, at string, a, b repository.Node) error {
	was, err := c.before.named(ctx, a)
	if err != nil {
		return err
	}
	is, err := c.after.named(ctx, b)
	if err != nil {
		return err
	}
	for _, name := range names(was, is) {
		if err := c.entry(ctx, path.Join(at, name), was, is, name); err != nil {
			return err
		}
	}
	return nil
}

// whole adds what is only on one side, with what is in it.
func (c *comparison) whole(ctx context.Context, o *opened, made Change, n repository.Node) error {
	made.Type = n.Type
	bytes := int64(0)
	count := func(_ string, n repository.Node) error {
		if n.Type == "file" {
			made.Files, bytes = made.Files+1, bytes+n.Size
		}
		return nil
	}
	if n.Type == "dir" {
		if err := o.Repo.Walk(ctx, n, count); err != nil {
			return err
		}
	}
	if err := count("", n); err != nil {
		return err
	}
	if made.After = bytes; made.What == Removed {
		made.Before, made.After = bytes, 0
	}
	c.found = append(c.found, made)
	return nil
}

// how says in which way two files differ, "" for not at all.
func (c *comparison) how(ctx context.Context, a, b repository.Node) (string, error) {
	if a.Type != b.Type {
		return a.Type + " to " + b.Type, nil
	}
	var all []string
	equal, err := c.equal(ctx, a, b)
	switch {
	case err != nil:
		return "", err
	case !equal:
		all = append(all, "content")
	case a.Target() != b.Target():
		all = append(all, "target")
	}
	if a.Mode != b.Mode {
		all = append(all, fmt.Sprintf("mode %s to %s", a.Mode, b.Mode))
	}
	if a.UID != b.UID || a.GID != b.GID {
		all = append(all, fmt.Sprintf("owner %d:%d to %d:%d", a.UID, a.GID, b.UID, b.GID))
	}
	return strings.Join(all, ", "), nil
}

// equal reports whether two files have the same content. Repositories part large files in
// different places, so these are read where nothing else tells them apart.
func (c *comparison) equal(ctx context.Context, a, b repository.Node) (bool, error) {
	if a.Type != "file" || slices.Equal(a.Content, b.Content) {
		return true, nil
	}
	if c.same || a.Size != b.Size || len(a.Content) == 1 && len(b.Content) == 1 {
		return false, nil
	}
	x, err := digest(ctx, c.before.Repo, a)
	y, other := digest(ctx, c.after.Repo, b)
	return x == y, errors.Join(err, other)
}

func digest(ctx context.Context, repo *repository.Repository, n repository.Node) (sum [sha256.Size]byte, err error) {
	hash := sha256.New()
	for content, err := range repo.Ahead(ctx, slices.Values(n.Content)) {
		if err != nil {
			return sum, err
		}
		hash.Write(content)
	}
	return [sha256.Size]byte(hash.Sum(nil)), nil
}
