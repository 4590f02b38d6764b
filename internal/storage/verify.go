package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/hash"

	"salvor/internal/blob"
)

// comparable returns the checksums to compute while uploading: sha256, for a
// remote that has to be read back, and the strongest that the remote computes itself.
// The local disk offers every checksum there is, and sftp two: the rest would be waste. A
// remote that offers sha256 may have none of an object, so md5 is computed, too.
func comparable(f fs.Fs) hash.Set {
	offered := f.Hashes()
	if offered.Contains(hash.SHA256) {
		return offered.Overlap(hash.NewHashSet(hash.SHA256, hash.MD5))
	}
	set := hash.NewHashSet(hash.SHA256)
	for _, kind := range slices.Backward(slices.Sorted(slices.Values(offered.Array()))) { // see same
		if proves(kind) {
			set.Add(kind)
			break
		}
	}
	return set
}

// proves reports whether a checksum is long enough to prove anything.
func proves(kind hash.Type) bool { return kind != hash.CRC32 && kind != hash.CRC32C }

// verify takes a fresh look at an object and compares it with what was sent: by
// the remote's checksum, or by reading it back where the remote has none. It returns
// what it saw.
func (f *Folder) verify(ctx context.Context, name string, size int64, sums map[hash.Type]string) (o fs.Object, _ blob.Proof, _ error) {
	var by string
	err := f.retry(ctx, func(ctx context.Context) (err error) {
		o, err = f.fs.NewObject(ctx, name)
		switch {
		case isNotFound(err):
			return fmt.Errorf("%w: it is missing", ErrCorrupt)
		case err != nil:
			return err
		}
		by, err = same(ctx, f.line, o, size, sums)
		return err
	})
	return o, blob.Proof{Size: size, By: by}, err
}

// same compares an object with what was sent and returns how it could.
func same(ctx context.Context, line *Line, o fs.Object, size int64, sums map[hash.Type]string) (string, error) {
	if o.Size() != size {
		return "", fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, o.Size(), size)
	}
	for _, kind := range slices.Backward(slices.Sorted(maps.Keys(sums))) { // the stronger ones come later
		if !proves(kind) {
			continue
		}
		got, err := o.Hash(ctx, kind)
		if err != nil && !errors.Is(err, hash.ErrUnsupported) {
			return "", err
		}
		if got == "" || err != nil {
			continue
		}
		if !strings.EqualFold(got, sums[kind]) {
			return "", fmt.Errorf("%w: its %s differs", ErrCorrupt, kind)
		}
		return kind.String(), nil
	}
	return "read back", readBack(ctx, line, o, size, sums[hash.SHA256])
}

func readBack(ctx context.Context, line *Line, o fs.Object, size int64, want string) error {
	content, err := o.Open(ctx)
	if err != nil {
		return err
	}
	body := line.Down(ctx, content)
	h := sha256.New()
	n, err := io.Copy(h, body)
	if err := errors.Join(err, body.Close()); err != nil {
		return err
	}
	if n != size || hex.EncodeToString(h.Sum(nil)) != want {
		return fmt.Errorf("%w: it reads back differently", ErrCorrupt)
	}
	return nil
}
