package mounter

import (
	"context"
	"errors"

	"github.com/rclone/rclone/fs"
)

// top returns the remote of a volume with its folder. One that is made now is looked for by a
// remote that is opened again, as the next start does, until it is found: that start would make another one.
func top(ctx context.Context, v Volume, remote Remote) (Remote, error) {
	if v.ReadOnly {
		return remote, nil
	}
	_, err := remote.List(ctx, "")
	if !errors.Is(err, fs.ErrorDirNotFound) {
		return remote, err
	}
	if err := remote.Mkdir(ctx, ""); err != nil || !remote.Features().DuplicateFiles {
		return remote, err
	}
	err = awaits(ctx, heldMost, func() (bool, error) {
		if remote, err = v.Open(); err != nil {
			return false, err
		}
		_, err = remote.List(ctx, "")
		if errors.Is(err, fs.ErrorDirNotFound) {
			return false, nil
		}
		return err == nil, err
	})
	return remote, err
}
