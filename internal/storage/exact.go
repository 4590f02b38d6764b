package storage

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rclone/rclone/fs/hash"
)

// exactReader passes on exactly size bytes while it computes checksums. The
// last bytes are handed out only once the source has ended in the right place:
// a backend that counts bytes never gets a complete object from a wrong source.
type exactReader struct {
	ctx    context.Context // of the upload that it feeds
	source io.Reader
	hasher *hash.MultiHasher
	left   int64
	err    error // why the source is unusable
}

func newExactReader(ctx context.Context, source io.Reader, size int64, kinds hash.Set) (*exactReader, error) {
	hasher, err := hash.NewMultiHasherTypes(kinds)
	if err != nil {
		return nil, err
	}
	r := &exactReader{ctx: ctx, source: source, hasher: hasher, left: size}
	if size == 0 { // a backend may not read at all
		r.err = r.atEnd()
	}
	return r, r.err
}

func (r *exactReader) Read(p []byte) (int, error) {
	if r.err == nil {
		r.err = r.ctx.Err()
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.source.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		r.err = err
	case errors.Is(err, io.EOF) && r.left > 0:
		r.err = fmt.Errorf("the content ends %d bytes early: %w", r.left, io.ErrUnexpectedEOF)
	case r.left == 0 && err == nil:
		r.err = r.atEnd()
	}
	if r.err != nil {
		return 0, r.err
	}
	if _, err := r.hasher.Write(p[:n]); err != nil {
		return 0, err
	}
	return n, nil
}

// atEnd reports an error unless the source has ended.
func (r *exactReader) atEnd() error {
	var probe [1]byte
	switch _, err := io.ReadFull(r.source, probe[:]); {
	case err == nil:
		return errors.New("the content is longer than its size")
	case errors.Is(err, io.EOF):
		return nil
	default:
		return err
	}
}

// sums returns the checksums of what was passed on.
func (r *exactReader) sums() map[hash.Type]string { return r.hasher.Sums() }
