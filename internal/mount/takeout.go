package mount

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"salvor/internal/atomicfile"
)

// takenOut is the folder, in a cache, for what TakeOut took. It is made as the cache is.
func takenOut(cache string) string { return filepath.Join(cache, "again") }

// TakeOut takes what waits for its upload out of the cache, which must not be in use, and
// returns it: the next mounter writes it again. rclone would upload it on its own, and not
// know afterwards that the remote has the file: a program that then opens, renames or removes
// it loses its content or its name. Look still finds the files. What an earlier TakeOut took
// stays, and what was written again of it goes. It may be called again.
func TakeOut(cache string) (Unsent, error) {
	unsent, err := Look(cache)
	if err != nil {
		return nil, err
	}
	for i, f := range unsent {
		partial := f
		partial.root = cache
		if f.root != cache {
			if err := partial.Done(); err != nil {
				return nil, err
			}
			continue
		}
		if unsent[i], err = f.takeOut(cache); err != nil {
			return nil, err
		}
	}
	return unsent, nil
}

// Reclaim takes a file of Uploaded out of the cache, as TakeOut does, for the mounter to write it
// again. Its note goes first: if the mounter is killed meanwhile, the file is set aside.
func (f File) Reclaim(cache string) (File, error) {
	if err := os.Remove(f.in(notesFolder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	return f.takeOut(cache)
}

// takeOut moves a file. Its note comes first and goes last: the file without one would not be
// sure.
func (f File) takeOut(cache string) (File, error) {
	out := f
	out.root = takenOut(cache)
	for _, folder := range []string{dataFolder, notesFolder} {
		if err := os.MkdirAll(filepath.Dir(out.in(folder)), 0o700); err != nil {
			return f, err
		}
	}
	note, err := os.ReadFile(f.in(notesFolder))
	if err == nil {
		err = atomicfile.Write(out.in(notesFolder), bytes.NewReader(note), 0o600)
	}
	if err == nil && !f.Sure {
		err = os.Chtimes(out.in(notesFolder), Unsynced(), Unsynced())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := os.Rename(f.in(dataFolder), out.in(dataFolder)); err != nil {
		return f, err
	}
	return out, f.Done()
}

// Return moves the content of a file that TakeOut took to where the cache keeps it, in place
// of what is there. It takes no room.
func (f File) Return(cache string) error {
	back := f
	back.root = cache
	return os.Rename(f.in(dataFolder), back.in(dataFolder))
}

// SetAside moves a file that TakeOut took to the folder to, as Mend does.
func (f File) SetAside(to string) error { return f.move(to) }

// Open returns the content of a file that is not on the remote yet.
func (f File) Open() (*os.File, error) { return os.Open(f.in(dataFolder)) }

// Done removes a file that was written again.
func (f File) Done() error {
	for _, folder := range []string{dataFolder, notesFolder} {
		if err := os.Remove(f.in(folder)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
