package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// freezer is where cgroup v1 freezes processes; a frozen one can't be killed
// there (cgroup v2 can).
const freezer = "/sys/fs/cgroup/freezer/docker"

// remove ends containers and takes them away with their volumes.
func remove(ctx context.Context, containers ...string) error {
	args := append([]string{"rm", "-f", "-v"}, containers...)
	_, err := docker(ctx, args...)
	if !stuck(err) {
		return err
	}
	if err := thawInside(ctx, containers...); err != nil {
		return err
	}
	_, err = docker(ctx, args...)
	return err
}

// stuck recognises a container that was killed and does not end.
func stuck(err error) bool {
	return err != nil && strings.Contains(err.Error(), "did not receive an exit event")
}

// thawInside lets the processes go on that an engine inside had paused when its
// host was killed, so that they die with it, and waits for the hosts' end.
func thawInside(ctx context.Context, containers ...string) error {
	ids, err := docker(ctx, append([]string{"inspect", "--type", "container", "--format", "{{.Id}}"}, containers...)...)
	for id := range strings.FieldsSeq(ids) {
		err = errors.Join(err, filepath.WalkDir(filepath.Join(freezer, id), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.Name() != "freezer.state" {
				return nil
			} else if err != nil {
				return err
			}
			return os.WriteFile(path, []byte("THAWED"), 0o644)
		}))
	}
	if err != nil {
		return fmt.Errorf("thaw what was paused inside: %w", err)
	}
	_, err = docker(ctx, append([]string{"wait"}, containers...)...)
	return err
}
