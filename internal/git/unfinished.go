package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
	"salvor/internal/runlock"
)

// ownFolder in Git's folder is Salvor's: the lock that lets one process at a
// time commit in this clone, the name of the commit that is being put into the
// working tree, and the temporary index.
const ownFolder = "salvor"

func (c *commitment) unfinished() string { return filepath.Join(c.own, "unfinished") }

// lockClone takes the clone's lock; the kernel drops it with this process.
func (c *commitment) lockClone() error {
	file, err := c.g.OwnFile("")
	if err != nil {
		return err
	}
	c.own = filepath.Clean(file)
	holder := runlock.Holder{Owner: fmt.Sprintf("process %d", os.Getpid()), Message: "committing", Since: time.Now().UTC()}
	c.lock, err = runlock.Acquire(c.own, "commit", holder)
	return err
}

// OwnFile returns where a file of Salvor's own is in Git's folder, which is made when
// it is missing: notes about this clone that no commit holds.
func (g *Repository) OwnFile(name string) (string, error) {
	own := filepath.Join(g.git, ownFolder)
	return filepath.Join(own, name), os.MkdirAll(own, 0o755)
}

// takeBack undoes what a commit that never came onto the branch left in the
// working tree and the operator's index: its process was killed in between, or
// it lost a race. Files that were changed since are left alone.
func (c *commitment) takeBack(ctx context.Context) error {
	content, err := os.ReadFile(c.unfinished())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	id, err := ParseCommit(strings.TrimSpace(string(content)))
	if err == nil && c.g.has(ctx, id) {
		if err := c.takeBackCommit(ctx, id); err != nil {
			return fmt.Errorf("undo the unfinished commit %s: %w", id.Short(), err)
		}
	}
	return os.Remove(c.unfinished())
}

func (c *commitment) takeBackCommit(ctx context.Context, id Commit) error {
	if c.parent != "" {
		if on, err := c.g.IsAncestor(ctx, id, c.parent); err != nil || on {
			return err
		}
	}
	out, err := c.g.output(ctx, "diff-tree", "-r", "--root", "--name-only", "--no-commit-id", "-z", string(id))
	if err != nil {
		return err
	}
	left := &commitment{g: c.g, parent: c.parent, index: c.index, own: c.own, files: map[string][]byte{}}
	for _, p := range splitZero(out) {
		left.files[p] = nil
	}
	left.paths = slices.Sorted(maps.Keys(left.files))
	if _, err := left.with(ctx, left.index, nil, "read-tree", string(id)); err != nil {
		return err
	}
	if left.after, err = left.entries(ctx, left.index); err != nil {
		return err
	}
	if err := left.readParent(ctx); err != nil {
		return err
	}
	if err := left.keepForeign(ctx); err != nil || len(left.paths) == 0 {
		return err
	}
	return left.refresh(ctx, left.index, left.before)
}

// keepForeign drops the paths with work of someone else.
func (c *commitment) keepForeign(ctx context.Context) error {
	touched, err := c.touched(ctx)
	for _, p := range touched {
		delete(c.files, p)
		delete(c.before, p)
	}
	c.paths = slices.Sorted(maps.Keys(c.files))
	return err
}

// announce writes down which commit's files come into the working tree now.
func (c *commitment) announce(id Commit) error {
	return atomicfile.Write(c.unfinished(), bytes.NewReader([]byte(id+"\n")), 0o644)
}

// Uncommit takes the newest commit off the branch again, with its files, if it is id
// and was not seen by anyone: its push lost a race. Work of others in the working
// tree stays. It may be called again.
func (g *Repository) Uncommit(ctx context.Context, id Commit) (err error) {
	c := &commitment{g: g}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if c.parent != id {
		return nil
	}
	before, err := g.line(ctx, "rev-parse", "--verify", "--quiet", string(id)+"^")
	if err != nil {
		return fault.WithHint(fmt.Errorf("commit %s has no parent to go back to", id.Short()), "git log")
	}
	if err := c.announce(id); err != nil {
		return err
	}
	if _, err := g.output(ctx, "update-ref", "-m", "salvor: not pushed", c.ref, before, string(id)); err != nil {
		return fmt.Errorf("move %s back: %w", c.ref, err)
	}
	c.parent = Commit(before)
	return c.takeBack(ctx)
}

// TakeBack undoes what a killed CommitFiles left in the working tree.
func (g *Repository) TakeBack(ctx context.Context) error {
	c := &commitment{g: g}
	if err := c.begin(ctx); err != nil {
		return err
	}
	return c.end()
}
