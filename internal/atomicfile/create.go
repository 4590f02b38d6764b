package atomicfile

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Create puts content at path as Write does, but only if there is nothing:
// otherwise the error is fs.ErrExist and what is there stays. Of two callers at
// once exactly one succeeds.
func Create(path string, content io.Reader, mode fs.FileMode) (err error) {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	if err := fill(tmp, content, mode); err != nil {
		return err
	}
	// rename would replace; link refuses to.
	if err := os.Link(tmp.Name(), path); err != nil {
		return err
	}
	return SyncDir(dir)
}
