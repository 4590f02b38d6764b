package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/internal/fault"
)

// A Need is the free space that a run takes at most when nothing is cached, in bytes.
type Need struct {
	Engine int64 // images and hosts, where the Docker engine keeps them
	Cache  int64 // runs, downloads and what is compiled, in the user's cache folder
}

// ErrFull means that a run would fill a disk.
var ErrFull = errors.New("there is too little space")

// A room is what is free on one file system, and what is to go there.
type room struct {
	device     uint64
	paths      []string
	free, need int64
}

// Space says in one line how much is free where a run's images, hosts and files go. The
// error wraps ErrFull where that is less than the run needs.
func Space(ctx context.Context, need Need) (string, error) {
	engine, err := docker(ctx, "info", "--format", "{{.DockerRootDir}}")
	if err != nil {
		return "", err
	}
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	rooms, err := add(nil, engine, need.Engine)
	if err == nil {
		rooms, err = add(rooms, cache, need.Cache)
	}
	if err != nil {
		return "", err
	}
	return said(rooms)
}

// add counts a folder to the file system that it is on. An engine of another machine has
// its folder there.
func add(rooms []room, path string, need int64) ([]room, error) {
	var at unix.Stat_t
	var disk unix.Statfs_t
	if err := errors.Join(unix.Stat(path, &at), unix.Statfs(path, &disk)); err != nil {
		return rooms, ignoreAbsent(err)
	}
	for i := range rooms {
		if rooms[i].device == at.Dev {
			rooms[i].paths, rooms[i].need = append(rooms[i].paths, path), rooms[i].need+need
			return rooms, nil
		}
	}
	return append(rooms, room{device: at.Dev, paths: []string{path}, free: int64(disk.Bavail) * disk.Bsize, need: need}), nil
}

func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	return err
}

func said(rooms []room) (string, error) {
	var parts []string
	var full error
	for _, r := range rooms {
		where := strings.Join(r.paths, " and ")
		part := fmt.Sprintf("%s free in %s", gib(r.free), where)
		parts = append(parts, fmt.Sprintf("%s, %s are enough", part, gib(r.need)))
		if r.free < r.need && full == nil {
			full = fault.WithHint(fmt.Errorf("%w: %s, a run needs up to %s", ErrFull, part, gib(r.need)),
				"bin/salvorlab down removes what ended runs left; docker system df and du -sh "+where+"/* show what else is there")
		}
	}
	return strings.Join(parts, "; "), full
}

func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
