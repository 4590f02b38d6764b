package mounter

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/lib/encoder"
	"golang.org/x/sys/unix"

	"salvor/internal/mount"
)

// files is rclone's file system with what it lacks: a folder can be synchronised, a file
// whose notes in the cache do not have all that was written to it is marked as such
// (mount.Unsynced), and a program that writes is stopped before the disk is full.
type files struct {
	fuse.RawFileSystem
	notes  string // folder of the notes that rclone has of cached files
	names  *names
	room   *room
	ctx    context.Context // of the mounter
	held   *held
	object func(path string) fs.Object // the remote's object of a file, as rclone knows it
	fetch  func(path string) error     // has the cache have all of a file
	whole  handles                     // of whose files the cache has had all
	opened handles                     // of whose files rclone has opened what is in the cache
	locks  [64]sync.RWMutex            // by number: writing, against synchronising
}

func (f *files) lock(id uint64) *sync.RWMutex { return &f.locks[id%uint64(len(f.locks))] }

// note returns the note of an open file, "" for one that has no name any more.
func (f *files) note(id uint64) string {
	name, known := f.names.path(id)
	if !known {
		return ""
	}
	return filepath.Join(f.notes, encoder.OS.FromStandardPath(name))
}

// Write implements fuse.RawFileSystem.
func (f *files) Write(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	if !f.room.take(int64(len(data))) {
		return 0, fuse.Status(unix.ENOSPC)
	}
	if !f.mayOpen(in.NodeId, in.Fh) {
		return 0, fuse.Status(unix.ENOSPC)
	}
	l := f.lock(in.NodeId)
	l.RLock()
	defer l.RUnlock()
	if f.complete(in.NodeId, in.Fh) != nil {
		return 0, f.failed(fuse.EIO)
	}
	f.mark(f.note(in.NodeId))
	if f.room.scarce() {
		n, status := f.writePieces(cancel, in, data)
		return n, f.failed(status)
	}
	n, status := f.RawFileSystem.Write(cancel, in, data)
	return n, f.failed(status)
}

// Read implements fuse.RawFileSystem.
func (f *files) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	if !f.mayOpen(in.NodeId, in.Fh) {
		return nil, fuse.Status(unix.ENOSPC)
	}
	return f.RawFileSystem.Read(cancel, in, buf)
}

// mayOpen reports whether rclone may open a file in the cache, as it does with the first read
// or write through a handle, 0 for none, and to change the size. If it can't write the file's
// note then, it drops the file from the cache, also one that waits for its upload.
func (f *files) mayOpen(id, handle uint64) bool {
	if f.opened.has(handle) {
		return true
	}
	if f.room.full() {
		if note := f.note(id); note != "" && mount.Waits(note) {
			return false
		}
	}
	if handle != 0 {
		f.opened.add(handle)
	}
	return true
}

// piece is what a disk takes or refuses as a whole, at a multiple of it.
const piece = 512

// writePieces writes what there is room for. Of a write that a disk takes only the beginning
// of, Go counts nothing (os.File.WriteAt): rclone then puts what the remote has over that.
func (f *files) writePieces(cancel <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	one, done := *in, uint32(0)
	for len(data) > 0 {
		n := min(piece-int(one.Offset%piece), len(data))
		one.Size = uint32(n)
		if _, status := f.RawFileSystem.Write(cancel, &one, data[:n]); !status.Ok() {
			if done > 0 {
				return done, fuse.OK // the next write has the error
			}
			return 0, status
		}
		data, done, one.Offset = data[n:], done+uint32(n), one.Offset+uint64(n)
	}
	return done, fuse.OK
}

// failed is the status of a write, which says ENOSPC where the cache is full.
func (f *files) failed(status fuse.Status) fuse.Status {
	if status == fuse.EIO && f.room.full() {
		return fuse.Status(unix.ENOSPC)
	}
	return status
}

// mark notes that what is written now may be missing in a note. Each time that rclone
// writes the note, the mark is gone; a file that has no note yet gets one with its first
// write in it.
func (f *files) mark(note string) {
	if note != "" {
		_ = os.Chtimes(note, time.Time{}, mount.Unsynced()) // without a note there is nothing to mark
	}
}

// SetAttr implements fuse.RawFileSystem.
func (f *files) SetAttr(cancel <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if size, sized := in.GetSize(); sized {
		if !f.mayOpen(in.NodeId, 0) {
			return fuse.Status(unix.ENOSPC)
		}
		l := f.lock(in.NodeId)
		l.RLock()
		defer l.RUnlock()
		if name, known := f.names.path(in.NodeId); known && size > 0 && f.fetch(name) != nil {
			return f.failed(fuse.EIO)
		}
		f.mark(f.note(in.NodeId))
	}
	return f.failed(f.RawFileSystem.SetAttr(cancel, in, out))
}

// Fsync implements fuse.RawFileSystem. rclone writes the note and leaves it to the kernel
// when that gets to the disk.
func (f *files) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	l := f.lock(in.NodeId)
	l.Lock()
	defer l.Unlock()
	if status := f.RawFileSystem.Fsync(cancel, in); !status.Ok() {
		return status
	}
	if note := f.note(in.NodeId); note != "" {
		return synced(note)
	}
	return fuse.OK
}

// FsyncDir implements fuse.RawFileSystem. Folders are made, renamed and removed on the
// remote at once; what waits in the cache is on its disk after this.
func (f *files) FsyncDir(_ <-chan struct{}, _ *fuse.FsyncIn) fuse.Status {
	dir, err := os.Open(f.notes)
	if err != nil {
		return fuse.ToStatus(err)
	}
	defer dir.Close()
	return fuse.ToStatus(unix.Syncfs(int(dir.Fd())))
}

// synced has a note, and that it exists, on the disk.
func synced(note string) fuse.Status {
	for _, p := range []string{note, filepath.Dir(note)} {
		opened, err := os.Open(p)
		if os.IsNotExist(err) {
			continue // uploaded and evicted, or never written to
		}
		if err != nil {
			return fuse.ToStatus(err)
		}
		err = opened.Sync()
		_ = opened.Close() // nothing was written through it
		if err != nil {
			return fuse.ToStatus(err)
		}
	}
	return fuse.OK
}

// Lookup implements fuse.RawFileSystem.
func (f *files) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	status := f.RawFileSystem.Lookup(cancel, in, name, out)
	return f.entered(status, in.NodeId, name, out)
}

// Mknod implements fuse.RawFileSystem.
func (f *files) Mknod(cancel <-chan struct{}, in *fuse.MknodIn, name string, out *fuse.EntryOut) fuse.Status {
	status := f.RawFileSystem.Mknod(cancel, in, name, out)
	return f.entered(status, in.NodeId, name, out)
}

// Mkdir implements fuse.RawFileSystem.
func (f *files) Mkdir(cancel <-chan struct{}, in *fuse.MkdirIn, name string, out *fuse.EntryOut) fuse.Status {
	status := f.RawFileSystem.Mkdir(cancel, in, name, out)
	return f.entered(status, in.NodeId, name, out)
}

// Symlink implements fuse.RawFileSystem.
func (f *files) Symlink(cancel <-chan struct{}, in *fuse.InHeader, to, name string, out *fuse.EntryOut) fuse.Status {
	status := f.RawFileSystem.Symlink(cancel, in, to, name, out)
	return f.entered(status, in.NodeId, name, out)
}

// Create implements fuse.RawFileSystem.
func (f *files) Create(cancel <-chan struct{}, in *fuse.CreateIn, name string, out *fuse.CreateOut) fuse.Status {
	if !f.room.take(0) {
		return fuse.Status(unix.ENOSPC)
	}
	status := f.RawFileSystem.Create(cancel, in, name, out)
	return f.entered(status, in.NodeId, name, &out.EntryOut)
}

func (f *files) entered(status fuse.Status, parent uint64, name string, out *fuse.EntryOut) fuse.Status {
	if status.Ok() {
		f.names.found(parent, name, out.NodeId)
	}
	return status
}

// paths returns where places are, "" for one in a folder that is gone.
func (f *files) paths(at ...place) []string {
	all := make([]string, len(at))
	for i, p := range at {
		if dir, known := f.names.path(p.parent); known {
			all[i] = path.Join(dir, p.name)
		}
	}
	return all
}

// Rename implements fuse.RawFileSystem.
func (f *files) Rename(cancel <-chan struct{}, in *fuse.RenameIn, from, to string) fuse.Status {
	at := f.paths(place{in.NodeId, from}, place{in.Newdir, to})
	release, _ := f.held.uploads.hold(f.ctx, heldMost, at...)
	defer release()
	err := f.held.removeLost(f.ctx, at[1], f.object(at[1]))
	if err == nil {
		err = f.held.moveLost(f.ctx, at[0], at[1], f.object(at[0]))
	}
	if err != nil {
		return fuse.EIO
	}
	status := f.RawFileSystem.Rename(cancel, in, from, to)
	if !status.Ok() {
		return status
	}
	f.names.renamed(place{in.NodeId, from}, place{in.Newdir, to})
	f.held.doubts.renamed(at[0], at[1])
	if f.held.follow(f.ctx, f.object(at[1]), at[1]) != nil {
		return fuse.EIO
	}
	return fuse.OK
}

// Unlink implements fuse.RawFileSystem.
func (f *files) Unlink(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	at := f.paths(place{in.NodeId, name})[0]
	release, _ := f.held.uploads.hold(f.ctx, heldMost, at)
	defer release()
	known := f.object(at)
	if f.held.removeLost(f.ctx, at, known) != nil {
		return fuse.EIO
	}
	// rclone leaves the file on the remote, without an error, if that fails while it waits for an upload
	if known != nil && known.Remove(f.ctx) != nil {
		return fuse.EIO
	}
	status := f.gone(f.RawFileSystem.Unlink(cancel, in, name), in.NodeId, name)
	if status.Ok() {
		f.held.doubts.renamed(at, "")
	}
	return status
}

// Rmdir implements fuse.RawFileSystem.
func (f *files) Rmdir(cancel <-chan struct{}, in *fuse.InHeader, name string) fuse.Status {
	return f.gone(f.RawFileSystem.Rmdir(cancel, in, name), in.NodeId, name)
}

func (f *files) gone(status fuse.Status, parent uint64, name string) fuse.Status {
	if status.Ok() {
		f.names.removed(place{parent, name})
	}
	return status
}

// Forget implements fuse.RawFileSystem.
func (f *files) Forget(id, lookups uint64) {
	f.RawFileSystem.Forget(id, lookups)
	f.names.forgotten(id, lookups)
}
