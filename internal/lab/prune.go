package lab

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// How long what is built or downloaded for labs is kept: an image or a package counted
// from its last use, a download from when it came.
const (
	unusedFor    = 3 * 24 * time.Hour
	downloadsFor = 30 * 24 * time.Hour
)

// Prune removes images and packages of older sources that no lab uses any more, and old
// downloads. It returns the names of what it removed.
func Prune(ctx context.Context) ([]string, error) {
	removed, err := pruneImages(ctx, time.Now().Add(-unusedFor))
	for folder, before := range map[string]time.Time{"debs": time.Now().Add(-unusedFor), "apt": time.Now().Add(-downloadsFor)} {
		dir, dirErr := cacheFolder(folder)
		if dirErr != nil {
			return removed, errors.Join(err, dirErr)
		}
		old, oldErr := removeOld(dir, before)
		removed, err = append(removed, old...), errors.Join(err, oldErr)
	}
	return removed, err
}

// pruneImages removes the lab's images that were last used before then. Those that a
// container is made of stay.
func pruneImages(ctx context.Context, then time.Time) ([]string, error) {
	out, err := docker(ctx, "image", "ls", "--filter", "reference=salvor-lab-*", "--format", "{{.Repository}}:{{.Tag}}")
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, tag := range strings.Fields(out) {
		at, err := lastUse(tag)
		if err != nil || at.After(then) {
			if err != nil {
				return removed, err
			}
			continue
		}
		switch _, err := docker(ctx, "rmi", tag); {
		case err == nil:
			removed = append(removed, tag)
		case !strings.Contains(err.Error(), "conflict"):
			return removed, err
		}
	}
	return removed, nil
}

// lastUse returns when an image was last used; one that is seen for the first time
// counts as used now.
func lastUse(tag string) (time.Time, error) {
	path, err := usePath(tag)
	if err != nil {
		return time.Time{}, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Now(), used(tag)
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// used notes that an image is used now.
func used(tag string) error {
	path, err := usePath(tag)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(time.Now().UTC().Format(time.RFC3339)+"\n"), 0o600)
}

func usePath(tag string) (string, error) {
	dir, err := cacheFolder("used")
	return filepath.Join(dir, fileName(tag)), err
}

// fileName is an image's tag as the name of a file.
func fileName(tag string) string { return strings.NewReplacer(":", "-", "/", "-").Replace(tag) }

// removeOld removes the entries of a folder that were last changed before then.
func removeOld(dir string, then time.Time) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var removed []string
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.ModTime().After(then) {
			continue
		}
		if err == nil {
			err = os.RemoveAll(filepath.Join(dir, e.Name()))
		}
		if err != nil {
			return removed, err
		}
		removed = append(removed, filepath.Join(filepath.Base(dir), e.Name()))
	}
	return removed, nil
}
