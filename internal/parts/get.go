package parts

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"salvor/internal/archive"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/snapshot/repository"
)

// Got is what was brought back.
type Got struct {
	Snapshot
	Path  string `json:"path"`           // in the snapshot
	To    string `json:"to,omitempty"`   // on this computer, "" for a stream
	Form  string `json:"form,omitempty"` // of the volume that Path is in
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
	Left  int    `json:"left,omitempty"` // devices, sockets and pipes that were left out
}

// Stream writes a file or folder of a snapshot as a tar stream, with owners and times. With
// special it has set-uid bits, devices and pipes, too.
func (r *Reader) Stream(ctx context.Context, c Choice, w io.Writer, special bool) (Got, error) {
	var got Got
	err := r.on(ctx, c, func(o *opened) error {
		p, _, err := r.part(ctx, o, c.Path, &got, special)
		if err != nil {
			return err
		}
		return r.stepped(&got, func() error { return p.write(ctx, w) })
	})
	return got, err
}

// Get brings a file or folder of a snapshot into a folder of this computer, under its name;
// the whole snapshot is called as its stack. The folder is made where it is missing. Nothing
// that is there is changed: what has the name already is an error. All of it is the
// operator's, without set-uid bits, devices and pipes; links stay links and are not followed.
// Until it is whole, it has another name.
func (r *Reader) Get(ctx context.Context, c Choice, dir string) (Got, error) {
	var got Got
	err := r.on(ctx, c, func(o *opened) (err error) {
		p, name, err := r.part(ctx, o, c.Path, &got, false)
		if err != nil {
			return err
		}
		to, err := openFolder(dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, to.Close()) }()
		got.To = filepath.Join(dir, name)
		return r.stepped(&got, func() error { return p.into(ctx, to, name) })
	})
	return got, err
}

// part is what is at a path of a snapshot, with the name that it gets.
func (r *Reader) part(ctx context.Context, o *opened, at string, got *Got, special bool) (*part, string, error) {
	node, err := o.lookup(ctx, at)
	if err != nil {
		return nil, "", err
	}
	name := path.Base(at)
	if at == "/" {
		name = o.archive.Stack
	}
	p := &part{opened: o, special: special}
	if err := p.collect(ctx, name, node); err != nil {
		return nil, "", err
	}
	*got = Got{Snapshot: o.snapshot(), Path: at, Form: string(o.formAt(at)), Files: p.files, Bytes: p.bytes, Left: p.left}
	written := int64(0)
	p.done = func(n int64) {
		written += n
		progress.Scope{Sink: r.Sink, Stack: got.Stack}.Bytes("download", written, p.bytes)
	}
	return p, name, nil
}

func (r *Reader) stepped(got *Got, work func() error) error {
	end := progress.Scope{Sink: r.Sink, Stack: got.Stack}.Step("download", repository.ShortID(got.ID))
	err := work()
	end(err, "")
	return err
}

func openFolder(dir string) (*os.Root, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fault.WithCode(fault.WithHint(fmt.Errorf("%s is a file, and not a folder", dir), "-o DIR is the folder that it goes into"), fault.Usage)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return os.OpenRoot(dir)
}

// into unpacks the part next to its place, and gives it its name when it is whole.
func (p *part) into(ctx context.Context, to *os.Root, name string) (err error) {
	if err := free(to, name); err != nil {
		return err
	}
	unfinished := ".salvor-get-" + rand.Text()[:8]
	if err := to.Mkdir(unfinished, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.RemoveAll(unfinished)) }()
	r, w := io.Pipe()
	written := make(chan error, 1)
	go func() {
		err := p.write(ctx, w)
		w.CloseWithError(err)
		written <- err
	}()
	_, err = archive.Unpack(r, "/"+name, filepath.Join(to.Name(), unfinished))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	r.CloseWithError(err)
	if wrote := <-written; wrote != nil {
		return wrote // where the other side failed, this has its reason
	}
	if err != nil {
		return err
	}
	if err := free(to, name); err != nil {
		return err
	}
	return to.Rename(filepath.Join(unfinished, name), name)
}

// free refuses a name that is taken.
func free(to *os.Root, name string) error {
	_, err := to.Lstat(name)
	if err == nil {
		return fault.WithHint(fmt.Errorf("%s is there already, and nothing is overwritten", filepath.Join(to.Name(), name)), "name another folder: -o DIR")
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
