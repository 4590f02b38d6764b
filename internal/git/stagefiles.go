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

	"salvor/internal/atomicfile"
)

// StageFiles writes files into the working tree and the index, for a commit that the
// operator makes (path in the repository to content, nil content removes the file). seen is
// what the caller read of those that are there: where one says something else by now,
// ErrUncommitted, before anything is written. Interrupted, it can be called again.
func (g *Repository) StageFiles(ctx context.Context, files, seen map[string][]byte) (err error) {
	c := &commitment{g: g, files: files, paths: slices.Sorted(maps.Keys(files))}
	if err := c.begin(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	for _, p := range c.paths {
		if err := c.checkSeen(p, seen[p]); err != nil {
			return err
		}
	}
	var list bytes.Buffer
	for _, p := range c.paths {
		if err := c.put(p); err != nil {
			return err
		}
		list.WriteString(p + "\x00")
	}
	_, err = c.with(ctx, "", list.Bytes(), "update-index", "-z", "--add", "--remove", "--stdin")
	return err
}

// checkSeen refuses a file that is neither as it was seen nor as it is to be.
func (c *commitment) checkSeen(p string, seen []byte) error {
	if err := c.checkParents(p); err != nil {
		return err
	}
	now, err := os.ReadFile(c.file(p))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		now = nil
	case err != nil:
		return err
	}
	if is := func(content []byte) bool { return (now == nil) == (content == nil) && bytes.Equal(now, content) }; !is(seen) && !is(c.files[p]) {
		return fmt.Errorf("%w in %s: it changed while this command ran", ErrUncommitted, p)
	}
	return nil
}

// put writes or removes one file of the working tree.
func (c *commitment) put(p string) error {
	if c.files[p] == nil {
		if err := os.Remove(c.file(p)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	mode := fs.FileMode(0o644)
	switch info, err := os.Lstat(c.file(p)); {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s is not a regular file", p)
	case err == nil:
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(c.file(p)), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(c.file(p), bytes.NewReader(c.files[p]), mode)
}
