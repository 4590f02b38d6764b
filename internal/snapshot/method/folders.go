package method

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Folder is a folder of a volume on the way to the data.
type Folder struct {
	Path string `json:"path"` // in the volume, "." for its root
	Mode uint32 `json:"mode"` // permission bits
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

// Folders are those from a volume's root to its data folder.
type Folders []Folder

// FoldersOf describes the folders from a volume's root to its data.
func FoldersOf(root *os.Root, rel string) (Folders, error) {
	var folders Folders
	paths := []string{"."}
	for i, c := range rel + "/" {
		if c == '/' && rel != "." {
			paths = append(paths, rel[:i])
		}
	}
	for _, p := range paths {
		info, err := root.Stat(p)
		if err != nil {
			return nil, err
		}
		st := info.Sys().(*syscall.Stat_t)
		folders = append(folders, Folder{p, uint32(st.Mode & 0o7777), int(st.Uid), int(st.Gid)}) //nolint:unconvert // of another type on macOS
	}
	return folders, nil
}

// Check refuses folders that are not in a volume: they may come out of a snapshot that
// someone else made.
func (f Folders) Check() error {
	if len(f) == 0 {
		return errors.New("the dump does not name the folder of its data")
	}
	for _, folder := range f {
		if !filepath.IsLocal(folder.Path) {
			return fmt.Errorf("%q is not a folder of a volume", folder.Path)
		}
	}
	return nil
}

// Begin makes the folders of a volume, in place of what is at its path.
func (f Folders) Begin(path string) error {
	if err := errors.Join(os.RemoveAll(path), os.Mkdir(path, 0o700)); err != nil {
		return err
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Fit(root), root.Close())
}

// EntriesOf returns the entries of a folder of a volume, sorted by name.
func EntriesOf(root *os.Root, folder string) ([]fs.DirEntry, error) {
	f, err := root.Open(folder)
	if err != nil {
		return nil, err
	}
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, errors.Join(err, f.Close())
}

// PutFiles moves files from a folder, as by FilesIn, to where they were in these folders
// of a volume, in place of what the server has made. Neither the dump nor the server
// leads it elsewhere by a link.
func (f Folders) PutFiles(files, into string) error {
	to, err := os.OpenRoot(into)
	if err != nil {
		return err
	}
	defer to.Close()
	from, err := os.OpenRoot(files)
	if errors.Is(err, fs.ErrNotExist) {
		return f.Fit(to)
	}
	if err != nil {
		return err
	}
	defer from.Close()
	for _, folder := range slices.Backward(f) {
		entries, err := EntriesOf(from, folder.Path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range entries {
			if f.has(path.Join(folder.Path, e.Name())) {
				continue
			}
			if err := move(from, to, folder.Path, e.Name()); err != nil {
				return fmt.Errorf("put %s back: %w", e.Name(), err)
			}
		}
	}
	return f.Fit(to)
}

// move moves an entry of a folder to the folder of that path below another root,
// in place of what is there.
func move(from, to *os.Root, folder, name string) error {
	if err := to.RemoveAll(filepath.Join(folder, name)); err != nil {
		return err
	}
	source, err := from.Open(folder)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.Open(folder)
	if err != nil {
		return err
	}
	defer target.Close()
	return unix.Renameat(int(source.Fd()), name, int(target.Fd()), name)
}

func (f Folders) has(rel string) bool {
	return slices.ContainsFunc(f, func(folder Folder) bool { return folder.Path == rel })
}

// Fit makes the folders down to the data as they were in the volume.
func (f Folders) Fit(into *os.Root) error {
	for _, folder := range f {
		if err := into.Mkdir(folder.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := fitFolder(into, folder); err != nil {
			return err
		}
	}
	return nil
}

// fitFolder sets owner and mode of the folder that it has opened: a server that
// runs as its owner can't put anything else there meanwhile.
func fitFolder(into *os.Root, f Folder) error {
	dir, err := into.OpenFile(f.Path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	return errors.Join(dir.Chown(f.UID, f.GID), dir.Chmod(fs.FileMode(f.Mode&0o777)|specialBits(f.Mode)), dir.Close())
}

// specialBits are the bits of a mode that Go keeps elsewhere.
func specialBits(mode uint32) fs.FileMode {
	var m fs.FileMode
	for bit, as := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if mode&bit != 0 {
			m |= as
		}
	}
	return m
}
