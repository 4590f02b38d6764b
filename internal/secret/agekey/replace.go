package agekey

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"salvor/internal/atomicfile"
)

// Replace puts the identity file fresh in the place of the one at path, which is kept
// as `<path>.old-<date>`; old is "" where there was none. At every moment the file at
// path is whole, one of the two. Interrupted, it is called again.
func Replace(path, fresh string, now time.Time) (old string, err error) {
	content, err := os.ReadFile(fresh)
	if err != nil {
		return "", err
	}
	present, err := os.ReadFile(path)
	switch {
	case err == nil && !bytes.Equal(present, content):
		if old, err = keepCopy(path, present, now); err != nil {
			return "", err
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	if err := atomicfile.Write(path, bytes.NewReader(content), 0o600); err != nil {
		return old, err
	}
	return old, os.Remove(fresh)
}

// keepCopy writes a copy that replaces nothing; one that is there already is left
// by a run that was interrupted.
func keepCopy(path string, content []byte, now time.Time) (string, error) {
	date := now.UTC().Format("20060102")
	for n := 1; ; n++ {
		old := path + ".old-" + date
		if n > 1 {
			old = fmt.Sprintf("%s-%d", old, n)
		}
		err := atomicfile.Create(old, bytes.NewReader(content), 0o600)
		if err == nil {
			return old, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return "", err
		}
		if there, err := os.ReadFile(old); err != nil || bytes.Equal(there, content) {
			return old, err
		}
	}
}
