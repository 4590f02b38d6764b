package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"salvor/internal/fault"
)

// checkUntouched refuses paths whose working copy or staged copy is neither what the
// parent has nor what is to be committed: that is work which would be lost.
func (c *commitment) checkUntouched(ctx context.Context) error {
	touched, err := c.touched(ctx)
	if err != nil || len(touched) == 0 {
		return err
	}
	return fault.WithHint(fmt.Errorf("%w in %s", ErrUncommitted, strings.Join(touched, ", ")), "commit or stash them: git status")
}

// touched returns the paths with someone else's work.
func (c *commitment) touched(ctx context.Context) ([]string, error) {
	staged, err := c.entries(ctx, "")
	if err != nil {
		return nil, err
	}
	working, err := c.working(ctx)
	if err != nil {
		return nil, err
	}
	var touched []string
	for _, p := range c.paths {
		if !c.known(p, staged[p].id) || !c.known(p, working[p]) {
			touched = append(touched, p)
		}
	}
	return touched, nil
}

// known reports whether a copy of p, "" for none, is the old or the new one.
func (c *commitment) known(p, id string) bool { return id == c.before[p].id || id == c.after[p].id }

// working returns the ids that our paths' working copies would have in Git.
func (c *commitment) working(ctx context.Context) (map[string]string, error) {
	var there []string
	for _, p := range c.paths {
		if err := c.checkParents(p); err != nil {
			return nil, err
		}
		switch info, err := os.Lstat(c.file(p)); {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s exists and is not a regular file", p)
		default:
			there = append(there, p)
		}
	}
	found := map[string]string{}
	if len(there) == 0 {
		return found, nil
	}
	out, err := c.with(ctx, "", []byte(strings.Join(there, "\n")+"\n"), "hash-object", "--stdin-paths")
	if err != nil {
		return nil, err
	}
	ids := strings.Fields(out)
	if len(ids) != len(there) {
		return nil, fmt.Errorf("git hashed %d files of %d", len(ids), len(there))
	}
	for i, p := range there {
		found[p] = ids[i]
	}
	return found, nil
}

// checkParents refuses a path below something that is not a folder, which git would
// replace, or below a symbolic link.
func (c *commitment) checkParents(p string) error {
	for dir := filepath.Dir(filepath.FromSlash(p)); dir != "."; dir = filepath.Dir(dir) {
		switch info, err := os.Lstat(filepath.Join(c.g.dir, dir)); {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		case err != nil:
			return err
		case !info.IsDir():
			return fmt.Errorf("%s exists and is not a folder", dir)
		}
	}
	return nil
}
