// Package parts looks into snapshots and brings back files and folders of them to the
// operator's computer, compares two, and checks repositories. Nothing is written to a
// remote or a host.
package parts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/fault"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
	"salvor/internal/suggest"
	"salvor/internal/terminal"
)

// A Snapshot is the one that was read.
type Snapshot struct {
	Stack  string    `json:"stack"`
	ID     string    `json:"id"`
	Taken  time.Time `json:"taken"`
	Commit string    `json:"commit,omitempty"`
	Target string    `json:"target"`
	Former int       `json:"former,omitempty"` // how many repositories ago: 0 for the present one
}

// Contents is what is at one place of a snapshot.
type Contents struct {
	Snapshot
	Path    string   `json:"path"`
	Form    string   `json:"form,omitempty"`    // of the volume that Path is in
	Volumes []Volume `json:"volumes,omitempty"` // at "/"
	Entries []Entry  `json:"entries,omitempty"` // by name; of a file it is the file
}

// A Volume is one of a snapshot's.
type Volume struct {
	Name  string `json:"name"`
	Form  string `json:"form"` // "files", or "postgres-dump": the dump's files are in the snapshot, not the database's
	Bytes int64  `json:"bytes"`
	Files int    `json:"files"`
}

// Dump reports whether the snapshot has the volume as its database's dump.
func (v Volume) Dump() bool { return snapshot.Form(v.Form).IsDump() }

// An Entry is a file, folder or link. Its names come from the repository, as they are.
type Entry struct {
	Path    string    `json:"path"` // relative to what was listed
	Type    string    `json:"type"` // file, dir, symlink, dev, chardev, fifo, socket
	Mode    string    `json:"mode"` // as ls shows it
	UID     uint32    `json:"uid"`
	GID     uint32    `json:"gid"`
	Bytes   int64     `json:"bytes"`
	Changed time.Time `json:"changed"`
	Target  string    `json:"target,omitempty"` // of a link
}

// List returns what is at a place of a snapshot; deep is with all that is below it.
func (r *Reader) List(ctx context.Context, c Choice, deep bool) (Contents, error) {
	var list Contents
	err := r.on(ctx, c, func(o *opened) error {
		list = Contents{Snapshot: o.snapshot(), Path: c.Path}
		node, err := o.lookup(ctx, c.Path)
		if err != nil {
			return err
		}
		list.Form = string(o.formAt(c.Path))
		if c.Path == "/" {
			list.Volumes = o.volumes()
		}
		if node.Type != "dir" {
			list.Entries = []Entry{entry(path.Base(c.Path), node)}
			return nil
		}
		if c.Path == "/" && !deep {
			return nil
		}
		list.Entries, err = o.entries(ctx, node, deep)
		return err
	})
	return list, err
}

func (o *opened) snapshot() Snapshot {
	return Snapshot{Stack: o.archive.Stack, ID: o.Info.ID, Taken: o.Info.Time, Commit: o.Info.Commit, Target: o.archive.Target, Former: o.archive.Former}
}

// volumes are those that the snapshot says it has. One that can't say it has them by its tags.
func (o *opened) volumes() []Volume {
	var all []Volume
	for _, name := range o.Info.Volumes {
		v := Volume{Name: name}
		if m, ok := o.Meta.Volume(name); ok {
			v.Form, v.Bytes, v.Files = string(m.Form), m.Stats.Bytes, m.Stats.Files
		}
		all = append(all, v)
	}
	return all
}

// formAt is the form of the volume that a path is in, "" for none.
func (o *opened) formAt(at string) snapshot.Form {
	name, _, _ := strings.Cut(strings.TrimPrefix(at, "/"), "/")
	m, _ := o.Meta.Volume(name)
	return m.Form
}

func (o *opened) entries(ctx context.Context, folder repository.Node, deep bool) ([]Entry, error) {
	var all []Entry
	if deep {
		err := o.Repo.Walk(ctx, folder, func(at string, n repository.Node) error {
			all = append(all, entry(at, n))
			return nil
		})
		return all, err
	}
	nodes, err := o.Repo.Tree(ctx, folder.Subtree)
	for _, n := range nodes {
		all = append(all, entry(n.Name, n))
	}
	slices.SortFunc(all, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return all, err
}

func entry(at string, n repository.Node) Entry {
	return Entry{Path: at, Type: n.Type, Mode: n.Mode.String(), UID: n.UID, GID: n.GID, Bytes: n.Size, Changed: n.ModTime.UTC(), Target: n.Target()}
}

// lookup returns what is at a path. Links are not followed.
func (o *opened) lookup(ctx context.Context, at string) (repository.Node, error) {
	node := o.Root
	above := "/"
	for name := range strings.SplitSeq(strings.Trim(at, "/"), "/") {
		if name == "" {
			break
		}
		if node.Type != "dir" {
			return node, o.notFolder(above, node)
		}
		nodes, err := o.Repo.Tree(ctx, node.Subtree)
		if err != nil {
			return node, err
		}
		if above == "/" {
			name = snapshot.DirName(name)
		}
		i := slices.IndexFunc(nodes, func(n repository.Node) bool { return n.Name == name })
		if i < 0 {
			return node, o.notThere(path.Join(above, name), above, nodes)
		}
		node, above = nodes[i], path.Join(above, name)
	}
	return node, nil
}

func (o *opened) notFolder(at string, n repository.Node) error {
	what := "is a file"
	if n.Type == "symlink" {
		what = "is a link to " + terminal.Line(n.Target()) + ", and links are not followed"
	}
	return fault.WithHint(fmt.Errorf("%s in snapshot %s %s", terminal.Line(at), repository.ShortID(o.Info.ID), what), o.hint(path.Dir(at)))
}

// shown is how many names an error has of those that are there.
const shown = 8

// notThere says what is there instead.
func (o *opened) notThere(at, above string, nodes []repository.Node) error {
	var names []string
	for _, n := range nodes {
		if above != "/" || !snapshot.IsOwn(n.Name) {
			names = append(names, terminal.Line(n.Name))
		}
	}
	slices.Sort(names)
	there := "which is empty"
	if len(names) > 0 {
		there = "which has " + strings.Join(names[:min(shown, len(names))], ", ")
		if more := len(names) - shown; more > 0 {
			there += fmt.Sprintf(" and %d more", more)
		}
	}
	err := fmt.Errorf("snapshot %s of %s has no %s in %s, %s%s", repository.ShortID(o.Info.ID), o.archive.Stack, terminal.Line(path.Base(at)), terminal.Line(above), there, suggest.DidYouMean(path.Base(at), names))
	return fault.WithHint(err, o.hint(above))
}

func (o *opened) hint(at string) string {
	return terminal.Sprintf("salvor snapshot ls %s %s:%s", o.archive.Stack, repository.ShortID(o.Info.ID), at)
}
