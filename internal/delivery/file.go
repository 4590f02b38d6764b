package delivery

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// dataLink is the link that is swapped. Its name starts with two dots, as
// Kubernetes has it, so that programs that read the directory skip it.
const dataLink = "..data"

// A file is one secret on its way to a service.
type file struct {
	name     string
	content  []byte
	uid, gid int
	mode     fs.FileMode
}

// isAt reports whether the file is at path with its content, owner and mode.
func (f file) isAt(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm() != f.mode.Perm() {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(st.Uid) != f.uid || int(st.Gid) != f.gid {
		return false
	}
	got, err := os.ReadFile(path)
	return err == nil && bytes.Equal(got, f.content)
}

// create writes a new file whose owner and mode are right before its content
// is there.
func (f file) create(path string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0)
	if err != nil {
		return err
	}
	err = errors.Join(out.Chown(f.uid, f.gid), out.Chmod(f.mode.Perm()))
	if err == nil {
		_, err = out.Write(f.content)
	}
	return errors.Join(err, out.Close())
}

// replace puts the file at path in one step.
func (f file) replace(path string) error {
	tmp := filepath.Join(filepath.Dir(path), "..tmp")
	if err := errors.Join(removeIfThere(tmp), f.create(tmp)); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// swapDir makes dir hold exactly the files, all at once: they are written into a new
// directory next to the old one, then the link that leads there is replaced.
func swapDir(dir string, files []file) (changed bool, err error) {
	if holds(dir, files) {
		return false, removeStale(dir, files)
	}
	if len(files) == 0 {
		return true, os.RemoveAll(dir)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	version, err := newVersion(dir)
	if err != nil {
		return false, err
	}
	for _, f := range files {
		if err := f.create(filepath.Join(dir, version, f.name)); err != nil {
			return false, err
		}
	}
	if err := link(version, filepath.Join(dir, dataLink)); err != nil {
		return false, err
	}
	for _, f := range files {
		if err := link(filepath.Join(dataLink, f.name), filepath.Join(dir, f.name)); err != nil {
			return true, err
		}
	}
	return true, removeStale(dir, files)
}

// holds reports whether dir shows exactly the files.
func holds(dir string, files []file) bool {
	version, err := os.Readlink(filepath.Join(dir, dataLink))
	if err != nil {
		_, err := os.Lstat(dir)
		return len(files) == 0 && errors.Is(err, fs.ErrNotExist)
	}
	entries, err := os.ReadDir(filepath.Join(dir, version))
	if err != nil || len(entries) != len(files) || len(files) == 0 {
		return false
	}
	for _, f := range files {
		to, err := os.Readlink(filepath.Join(dir, f.name))
		if err != nil || to != filepath.Join(dataLink, f.name) || !f.isAt(filepath.Join(dir, version, f.name)) {
			return false
		}
	}
	return true
}

// newVersion makes the directory after the highest number there is.
func newVersion(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	highest := 0
	for _, e := range entries {
		if n, err := strconv.Atoi(strings.TrimPrefix(e.Name(), "..")); err == nil {
			highest = max(highest, n)
		}
	}
	name := fmt.Sprintf("..%d", highest+1)
	if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
		return "", err
	}
	return name, nil
}

// link makes path a link to target, replacing what is there in one step.
func link(target, path string) error {
	if now, err := os.Readlink(path); err == nil && now == target {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(path), "..link")
	if err := errors.Join(removeIfThere(tmp), os.Symlink(target, tmp)); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// removeStale takes away old versions, names no longer there and what a run that was
// interrupted left.
func removeStale(dir string, files []file) error {
	version, err := os.Readlink(filepath.Join(dir, dataLink))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	keep := []string{dataLink, version}
	for _, f := range files {
		keep = append(keep, f.name)
	}
	_, err = removeExcept(dir, keep)
	return err
}

// holdEach reports whether dir holds exactly the files, none for no directory.
func holdEach(dir string, files []file) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return len(files) == 0 && errors.Is(err, fs.ErrNotExist)
	}
	for _, f := range files {
		if !f.isAt(filepath.Join(dir, f.name)) {
			return false
		}
	}
	return len(entries) == len(files)
}

// replaceEach makes dir hold exactly the files, one by one.
func replaceEach(dir string, files []file) (changed bool, err error) {
	var keep []string
	for _, f := range files {
		keep = append(keep, f.name)
		path := filepath.Join(dir, f.name)
		if f.isAt(path) {
			continue
		}
		changed = true
		if err := errors.Join(os.MkdirAll(dir, 0o755), f.replace(path)); err != nil {
			return changed, err
		}
	}
	if len(files) == 0 {
		_, err := os.Lstat(dir)
		return err == nil, os.RemoveAll(dir)
	}
	gone, err := removeExcept(dir, slices.Clip(keep))
	return changed || len(gone) > 0, err
}
