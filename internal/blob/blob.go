// Package blob is the vocabulary of remote storage: named byte sequences under
// a folder of a remote. Package storage implements Store on rclone; snapshots
// and the record are written through it.
package blob

import (
	"context"
	"io"
	"io/fs"
)

// ErrNotExist is wrapped by errors that mean: there is nothing of that name.
var ErrNotExist = fs.ErrNotExist

// An Object is one stored byte sequence. Path is relative to the folder that
// was listed, with slashes.
type Object struct {
	Path string
	Size int64
}

// A Proof says how a Put was verified: by "md5", "sha1", … (the remote's own
// checksum) or by "read back".
type Proof struct {
	Size int64
	By   string
}

// ValidPath reports whether p can name an object: relative, clean, with
// slashes, below the folder.
func ValidPath(p string) bool {
	return p != "." && fs.ValidPath(p)
}

// A Store is a folder on a remote. Methods are safe for concurrent use. Paths
// satisfy ValidPath; others are refused. When the context ends, so does a call,
// and also the reading of what Get returned.
type Store interface {
	// Put stores exactly size bytes of content under path, replacing what was
	// there. It returns nil only after a fresh look at the remote showed an
	// object of that size with the right checksum; where the remote keeps no
	// checksum the object was read back whole and compared. content is read
	// once. After an error, content of another size and the end of the context
	// included, there is no object under path, or the old one where the remote
	// can keep it.
	Put(ctx context.Context, path string, content io.Reader, size int64) (Proof, error)
	// Get reads length bytes from offset; length -1 reads to the end.
	Get(ctx context.Context, path string, offset, length int64) (io.ReadCloser, error)
	// Stat looks one object up.
	Stat(ctx context.Context, path string) (Object, error)
	// List returns every object below dir, sorted by path, at any depth. A
	// folder that does not exist lists as empty.
	List(ctx context.Context, dir string) ([]Object, error)
	// Delete removes an object; a missing one is ErrNotExist.
	Delete(ctx context.Context, path string) error
}
