package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// freezer is where cgroup v1 freezes processes; a frozen one can't be killed
// there (cgroup v2 can).
const freezer = "/sys/fs/cgroup/freezer/docker"

// freezeLimit is how long a container may resist: the engine gives up within a second on one
// whose processes start others or wait for the disk at that moment, and leaves the next attempt
// to the caller (github.com/opencontainers/runc/pull/4388).
const freezeLimit = 30 * time.Second

// freeze pauses a container.
func freeze(ctx context.Context, container string) error {
	var refused error
	err := until(ctx, freezeLimit, func(ctx context.Context) error {
		_, refused = docker(ctx, "pause", container)
		if refused != nil && strings.Contains(refused.Error(), "unable to freeze") {
			return refused
		}
		return nil
	})
	if err != nil {
		return err
	}
	return refused
}

// thaw lets a paused container continue.
func thaw(ctx context.Context, container string) error {
	_, err := docker(ctx, "unpause", container)
	return err
}

// remove ends containers and takes them away with their volumes. Where one is
// stuck the others are gone by then, so each is looked at alone.
func remove(ctx context.Context, containers ...string) error {
	_, err := docker(ctx, append([]string{"rm", "-f", "-v"}, containers...)...)
	if !stuck(err) {
		return err
	}
	var errs []error
	for _, c := range containers {
		errs = append(errs, removeStuck(ctx, c))
	}
	return errors.Join(errs...)
}

func removeStuck(ctx context.Context, container string) error {
	_, err := docker(ctx, "rm", "-f", "-v", container)
	if stuck(err) {
		if err = thawInside(ctx, container); err == nil {
			_, err = docker(ctx, "rm", "-f", "-v", container)
		}
	}
	if err != nil && strings.Contains(err.Error(), "No such container") {
		return nil
	}
	return err
}

// stuck recognises a container that was killed and does not end.
func stuck(err error) bool {
	return err != nil && strings.Contains(err.Error(), "did not receive an exit event")
}

// thawInside lets the processes continue that an engine inside had paused when its
// host was killed, so that they die with it, and waits for the hosts' end.
func thawInside(ctx context.Context, container string) error {
	id, err := docker(ctx, "inspect", "--type", "container", "--format", "{{.Id}}", container)
	if err == nil {
		err = filepath.WalkDir(filepath.Join(freezer, strings.TrimSpace(id)), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && d.Name() != "freezer.state" {
				return nil
			} else if err != nil {
				return err
			}
			return os.WriteFile(path, []byte("THAWED"), 0o644)
		})
	}
	if err != nil {
		return fmt.Errorf("thaw what was paused inside: %w", err)
	}
	_, err = docker(ctx, "wait", container)
	return err
}
