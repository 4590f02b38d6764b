// Package embedded carries salvord inside salvor, so that a recovery needs only one
// file and the two halves cannot drift apart.
package embedded

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/zstd"
)

//go:embed bin
var bin embed.FS

// ErrNotBuilt means that this salvor was compiled without `make build`.
var ErrNotBuilt = errors.New("this salvor does not include salvord for that architecture; run make build")

// Salvord opens the salvord program for linux on arch ("amd64", "arm64"),
// decompressed while it is read.
func Salvord(arch string) (io.ReadCloser, error) {
	f, err := bin.Open("bin/salvord-linux-" + arch + ".zst")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNotBuilt, arch)
	}
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(f)
	if err != nil {
		return nil, err
	}
	return dec.IOReadCloser(), nil
}
