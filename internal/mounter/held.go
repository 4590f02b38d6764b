package mounter

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/rclone/rclone/fs"
)

// errHeld is why a remote is not changed at present: this host may have lost the stack.
var errHeld = errors.New("the claim of the stack was not confirmed in the last minute")

// errChanged is why a file can't be read: what is known of its size is of another content.
// A new listing ends that.
var errChanged = errors.New("another host has just changed the file")

const (
	heldEvery = 500 * time.Millisecond // how often a change that is held back is looked at again
	heldMost  = 20 * time.Second       // how long a program waits that makes, renames or deletes something
)

// A held file system passes changes on to the remote only while they may be made.
// Uploads wait for that as long as it takes, and one under way ends when it is over.
type held struct {
	fs.Fs
	name     string
	may      func() bool
	others   bool // change it, too, at any time
	line     Line // to the remote, nil for one without limits
	uploads  *uploads
	doubts   doubts
	gone     gone
	written  folders
	patience time.Duration // how long a listing may lack what was stored, before that is an error
	features *fs.Features
}

// hold returns a remote that is changed only while may says so. Its name is that of the
// volume, under which it is cached: wherever the remote is, that stays the same.
func hold(name string, remote fs.Fs, may func() bool, others bool) *held {
	h := &held{Fs: remote, name: name, may: may, others: others, uploads: newUploads(), patience: heldMost}
	inner := remote.Features()
	f := *inner
	// what is not passed on through h would change the remote at any time
	f.Purge, f.Copy, f.MkdirMetadata, f.PublicLink, f.PutUnchecked, f.PutStream = nil, nil, nil, nil, nil, nil
	f.MergeDirs, f.DirSetModTime, f.CleanUp, f.ListR, f.ListP, f.OpenWriterAt, f.OpenChunkWriter = nil, nil, nil, nil, nil, nil, nil
	f.UnWrap, f.WrapFs, f.SetWrapper, f.Command, f.Disconnect = nil, nil, nil, nil, nil
	if inner.Move != nil {
		f.Move = h.move
	}
	if inner.DirMove != nil {
		f.DirMove = h.dirMove
	}
	h.features = &f
	return h
}

// Name implements fs.Fs.
func (h *held) Name() string { return h.name }

// Root implements fs.Fs.
func (h *held) Root() string { return "" }

// Features implements fs.Fs.
func (h *held) Features() *fs.Features { return h.features }

// wait returns nil once the remote may be changed. It gives up after limit, 0 for none.
func (h *held) wait(ctx context.Context, limit time.Duration) error {
	if h.may() {
		return nil
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	tick := time.NewTicker(heldEvery)
	defer tick.Stop()
	for !h.may() {
		select {
		case <-ctx.Done():
			return errors.Join(errHeld, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}

// List implements fs.Fs.
func (h *held) List(ctx context.Context, dir string) (fs.DirEntries, error) {
	entries, err := h.listed(ctx, dir)
	for i, e := range entries {
		if o, ok := e.(fs.Object); ok {
			entries[i] = h.object(o)
		}
	}
	return entries, err
}

// NewObject implements fs.Fs.
func (h *held) NewObject(ctx context.Context, remote string) (fs.Object, error) {
	return h.found(h.Fs.NewObject(ctx, remote))
}

// Put implements fs.Fs.
func (h *held) Put(ctx context.Context, in io.Reader, src fs.ObjectInfo, options ...fs.OpenOption) (fs.Object, error) {
	end, err := h.upload(ctx, src)
	if err != nil {
		return nil, err
	}
	defer end()
	return h.found(h.store(ctx, h.sent(ctx, in), src, options...))
}

// upload waits until a file may be uploaded; end is called when it is.
func (h *held) upload(ctx context.Context, src fs.ObjectInfo) (end func(), err error) {
	if err := h.wait(ctx, 0); err != nil {
		return nil, err
	}
	return h.uploads.begin(ctx, src.Remote())
}

// Mkdir implements fs.Fs.
func (h *held) Mkdir(ctx context.Context, dir string) error {
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	end, err := h.uploads.begin(ctx, dir)
	if err != nil {
		return err
	}
	err = h.Fs.Mkdir(ctx, dir)
	end()
	if err != nil {
		return err
	}
	return h.seenFolder(ctx, dir)
}

// Rmdir implements fs.Fs.
func (h *held) Rmdir(ctx context.Context, dir string) error {
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	return h.Fs.Rmdir(ctx, dir)
}

func (h *held) move(ctx context.Context, src fs.Object, remote string) (fs.Object, error) {
	if err := h.wait(ctx, heldMost); err != nil {
		return nil, err
	}
	if o, ok := src.(*heldObject); ok {
		src = o.Object
	}
	h.written.add(parent(remote))
	return h.found(h.Fs.Features().Move(ctx, src, remote))
}

func (h *held) dirMove(ctx context.Context, src fs.Fs, srcRemote, dstRemote string) error {
	if err := h.wait(ctx, heldMost); err != nil {
		return err
	}
	if from, ok := src.(*held); ok {
		src = from.Fs
	}
	err := h.Fs.Features().DirMove(ctx, src, srcRemote, dstRemote)
	if err == nil {
		h.written.renamed(srcRemote, dstRemote)
	}
	return err
}

func (h *held) found(o fs.Object, err error) (fs.Object, error) {
	if err != nil || o == nil {
		return nil, err
	}
	return h.object(o), nil
}

func (h *held) object(o fs.Object) fs.Object { return &heldObject{o, h} }

// A heldObject is a file of a held file system.
type heldObject struct {
	fs.Object
	h *held
}

// Fs implements fs.Object.
func (o *heldObject) Fs() fs.Info { return o.h }

// ID implements fs.IDer.
func (o *heldObject) ID() string { return idOf(o.Object) }

// Open implements fs.Object. Where others write, it looks whether the file is still the one
// that was listed, after the remote has begun to answer with one content of it.
func (o *heldObject) Open(ctx context.Context, options ...fs.OpenOption) (io.ReadCloser, error) {
	in, err := o.Object.Open(ctx, options...)
	if err != nil {
		return nil, err
	}
	if o.h.line != nil {
		in = o.h.line.Down(ctx, in)
	}
	if !o.h.others {
		return in, nil
	}
	now, err := o.h.Fs.NewObject(ctx, o.Remote())
	if err == nil && (now.Size() != o.Size() || !now.ModTime(ctx).Equal(o.ModTime(ctx))) {
		err = errChanged
	}
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// Update implements fs.Object. A file that was renamed while an upload of it was broken off
// gets its new name first: rclone would leave it under the old one.
func (o *heldObject) Update(ctx context.Context, in io.Reader, src fs.ObjectInfo, options ...fs.OpenOption) error {
	end, err := o.h.upload(ctx, src)
	if err != nil {
		return err
	}
	defer end()
	reader := o.h.sent(ctx, in)
	if o.h.gone.has(idOf(o)) {
		o.h.doubts.add(src.Remote(), nil)
		stored, err := o.h.store(ctx, reader, src, options...)
		if err == nil {
			o.Object = stored
		}
		return err
	}
	moved, err := o.h.moved(ctx, o.Object, src.Remote())
	if err != nil {
		return err
	}
	o.Object = moved
	if err := moved.Update(ctx, reader, src, options...); err != nil {
		return err
	}
	listed, err := o.h.seen(ctx, moved)
	switch {
	case err == nil:
		o.Object = listed
		o.h.written.add(parent(src.Remote()))
	case errors.Is(err, errLate):
		o.h.gone.add(idOf(o)) // someone has removed it: the next try makes another one
	}
	return err
}

// Remove implements fs.Object.
func (o *heldObject) Remove(ctx context.Context) error {
	if err := o.h.wait(ctx, heldMost); err != nil {
		return err
	}
	return errors.Join(o.h.removeTwins(ctx, o.Object), o.h.remove(ctx, o.Object))
}

// SetModTime implements fs.Object.
func (o *heldObject) SetModTime(ctx context.Context, t time.Time) error {
	if err := o.h.wait(ctx, heldMost); err != nil {
		return err
	}
	return o.Object.SetModTime(ctx, t)
}

// sent returns the content of an upload as it may be sent.
func (h *held) sent(ctx context.Context, in io.Reader) io.Reader {
	if h.line != nil {
		in = h.line.Up(ctx, in)
	}
	return &heldReader{in, h.may}
}

// A heldReader ends an upload when the remote may not be changed any more.
type heldReader struct {
	io.Reader
	may func() bool
}

// Read implements io.Reader.
func (r *heldReader) Read(p []byte) (int, error) {
	if !r.may() {
		return 0, errHeld
	}
	return r.Reader.Read(p)
}
