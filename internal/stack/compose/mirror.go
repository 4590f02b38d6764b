package compose

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"salvor/internal/atomicfile"
)

// mirrored returns the folder in which compose-go reads the repository. Where files that it
// opens for include and extends are replaced or count besides, that is a temporary one with
// links to all that it opens: what is secret is not copied.
func mirrored(l *load) (root string, err error) {
	own, err := l.composeFiles()
	if err != nil {
		return "", err
	}
	if len(l.files) == len(own) || len(l.Replaced) == 0 && !l.Beside {
		return l.RepoDir, nil
	}
	read, err := l.readsInside()
	if err != nil {
		return "", err
	}
	if root, err = temporaryFolder(l); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(root, filepath.FromSlash(l.Stack.Dir)), 0o700); err != nil {
		return "", err
	}
	for _, name := range slices.Sorted(maps.Keys(read)) {
		if err := reflect(l, root, name); err != nil {
			return "", err
		}
	}
	return root, nil
}

// reflect puts a file into a mirror. One that is not there is compose-go's to report.
func reflect(l *load, root, name string) error {
	content, replaced := l.Replaced[name]
	if replaced && content == nil {
		return nil
	}
	to := filepath.Join(root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	if replaced {
		return atomicfile.Write(to, bytes.NewReader(content), 0o600)
	}
	from, err := l.onDisk(name, "")
	if _, missing := os.Stat(from); err != nil || errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(from, to)
}
