package gitread

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// A File is one file of a commit. Link is set for a symbolic link, whose target
// is then the content.
type File struct {
	Path       string
	Content    []byte
	Executable bool
	Link       bool
}

// File returns a file's content at a commit; a missing one wraps fs.ErrNotExist.
func (r *Repository) File(commit, path string) ([]byte, error) {
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	f, err := c.File(path)
	if errors.Is(err, object.ErrFileNotFound) {
		return nil, fmt.Errorf("%s at %s: %w", path, commit, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", path, commit, err)
	}
	return content(f)
}

// Files returns the files below a folder at a commit, sorted by path relative to
// it; "" is the whole tree. A missing folder wraps fs.ErrNotExist.
func (r *Repository) Files(commit, dir string) ([]File, error) {
	c, err := r.commit(commit)
	if err != nil {
		return nil, err
	}
	tree, err := c.Tree()
	if err == nil && dir != "" {
		tree, err = tree.Tree(dir)
	}
	if errors.Is(err, object.ErrDirectoryNotFound) {
		return nil, fmt.Errorf("%s at %s: %w", dir, commit, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%s at %s: %w", dir, commit, err)
	}
	var files []File
	err = tree.Files().ForEach(func(f *object.File) error {
		data, err := content(f)
		files = append(files, File{Path: f.Name, Content: data, Executable: f.Mode == filemode.Executable, Link: f.Mode == filemode.Symlink})
		return err
	})
	return files, err
}

func content(f *object.File) (data []byte, err error) {
	body, err := f.Reader()
	if err != nil {
		return nil, err
	}
	data, err = io.ReadAll(body)
	return data, errors.Join(err, body.Close())
}
