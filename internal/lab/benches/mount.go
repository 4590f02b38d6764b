package benches

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/mount"
	"salvor/internal/mounter"
	"salvor/internal/storage"
)

const (
	mountMiB    = 256
	mountFiles  = 1000
	mountSize   = 8 << 10
	mountRounds = 2 // ABBA
	mountWrites = time.Second
)

// mounts compares a shared volume with Debian's rclone mount of the same SFTP server: the same
// cache mode, number of transfers and pause before an upload. Programs write and read it.
func mounts(ctx context.Context, log func(string, ...any), report func(Figure)) (err error) {
	if _, err := exec.LookPath("fusermount3"); err != nil {
		if _, err := exec.LookPath("fusermount"); err != nil {
			return errors.New("rclone mount needs fusermount (package fuse3)")
		}
	}
	server, err := serveSFTP(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.close()) }()
	b := &mounting{dir: server.top, large: filepath.Join(server.top, "large"), server: server, log: log}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	ours, theirs := &contender{name: "salvor", start: b.salvor}, &contender{name: "rclone", start: b.rclone}
	for round := range mountRounds {
		order := []*contender{ours, theirs}
		if round%2 == 1 {
			order = []*contender{theirs, ours}
		}
		for _, c := range order {
			if err := b.round(ctx, c, fmt.Sprintf("%s-%d", c.name, round)); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	for _, phase := range mountPhases {
		mine, its := ours.best[phase], theirs.best[phase]
		log("mount.%s: %.2f s against %.2f s", phase, mine.Seconds(), its.Seconds())
		f := AtLeast("mount."+phase, its.Seconds()/mine.Seconds(), "ratio", 1)
		if phase == phaseSynced {
			f.Goal, f.OK = "", true
		}
		report(f)
	}
	return nil
}

// The phases of a round: a large file is written, and another one with fsync, which rclone mount
// answers without having anything written; small files are unpacked, until all are on the remote;
// and with an empty cache, a large file is read, and all small ones.
const (
	phaseWrite  = "write"
	phaseSynced = "write.synced"
	phaseSmall  = "small"
	phaseRead   = "read"
	phaseMany   = "small.read"
)

var mountPhases = []string{phaseWrite, phaseSynced, phaseRead, phaseSmall, phaseMany}

// A mounting is the server, and what is written to it.
type mounting struct {
	dir          string
	large, small string // a file of 256 MiB, and a tar archive of 1,000 files
	server       *sftp
	log          func(string, ...any)
}

// A contender mounts a folder of the server with an empty cache. end unmounts it.
type contender struct {
	name  string
	start func(ctx context.Context, folder, point, cache string) (end func() error, err error)
	best  map[string]time.Duration // by phase
}

func (c *contender) keep(phase string, took time.Duration) {
	if c.best == nil {
		c.best = map[string]time.Duration{}
	}
	if before, is := c.best[phase]; !is || took < before {
		c.best[phase] = took
	}
}

func (b *mounting) prepare(ctx context.Context) error {
	files := filepath.Join(b.dir, "files")
	if err := plant(files, mountFiles, mountSize); err != nil {
		return err
	}
	b.small = filepath.Join(b.dir, "small.tar")
	for _, argv := range [][]string{{"tar", "-cf", b.small, "-C", files, "."}, {"sh", "-c", `head -c "$1" /dev/urandom >"$2"`, "sh", fmt.Sprint(mountMiB << 20), b.large}, {"sync"}} {
		if err := run(exec.CommandContext(ctx, argv[0], argv[1:]...)); err != nil {
			return err
		}
	}
	return nil
}

// round has one contender write and read a folder of its own.
func (b *mounting) round(ctx context.Context, c *contender, folder string) error {
	point, on := filepath.Join(b.dir, "point-"+folder), filepath.Join(b.server.dir, folder)
	end, err := c.start(ctx, folder, point, filepath.Join(b.dir, "cache-"+folder))
	if err != nil {
		return err
	}
	err = b.timed(ctx, c, phaseWrite, "dd", "if="+b.large, "of="+filepath.Join(point, "large"), "bs=1M")
	if err == nil {
		err = until(ctx, 2*time.Minute, "the large file is on the remote", func() bool { return bytesIn(on) == mountMiB<<20 })
	}
	if err == nil {
		err = b.timed(ctx, c, phaseSynced, "dd", "if="+b.large, "of="+filepath.Join(point, "synced"), "bs=1M", "conv=fsync")
	}
	if err == nil {
		err = until(ctx, 2*time.Minute, "both are on the remote", func() bool { return bytesIn(on) == 2*mountMiB<<20 })
	}
	if err == nil {
		began := time.Now()
		err = run(exec.CommandContext(ctx, "tar", "-xf", b.small, "--no-same-owner", "-C", point))
		if err == nil {
			err = until(ctx, 5*time.Minute, "the small files are on the remote", func() bool { return filesIn(on) == mountFiles+2 })
		}
		c.keep(phaseSmall, time.Since(began))
	}
	if err = errors.Join(err, end()); err != nil {
		return err
	}
	end, err = c.start(ctx, folder, point, filepath.Join(b.dir, "clean-"+folder))
	if err != nil {
		return err
	}
	err = b.timed(ctx, c, phaseRead, "dd", "if="+filepath.Join(point, "large"), "of=/dev/null", "bs=1M")
	if err == nil { // tar reads nothing where its archive is /dev/null
		err = b.timed(ctx, c, phaseMany, "sh", "-c", `tar -cf - --exclude=./large --exclude=./synced -C "$1" . | cat >/dev/null`, "sh", point)
	}
	return errors.Join(err, end())
}

func (b *mounting) timed(ctx context.Context, c *contender, phase string, argv ...string) error {
	began := time.Now()
	err := run(exec.CommandContext(ctx, argv[0], argv[1:]...))
	took := time.Since(began)
	b.log("%s: %s %.2f s", c.name, phase, took.Seconds())
	c.keep(phase, took)
	return err
}

// salvor mounts as salvord mount does.
func (b *mounting) salvor(ctx context.Context, folder, point, cache string) (func() error, error) {
	m, err := mounter.Start(ctx, mounter.Options{
		Stack: "bench", Cache: cache, Keep: cache + "-copies", Aside: cache + "-aside", Size: 8 << 30, KeepFree: 1 << 30, Umask: 0o22,
		May: func() bool { return true }, WriteBack: mountWrites,
	}, []mounter.Volume{{Name: folder, Point: point, Open: func() (mounter.Remote, error) {
		return storage.Computer{}.Mountable(ctx, storage.Remotes{"nas": b.server.remote}, fleet.Location{Remote: "nas", Path: folder})
	}}})
	if err != nil {
		return nil, err
	}
	return func() error { return errors.Join(m.Close(), mount.Remove(point)) }, nil
}

// rclone mounts with Debian's program, and the settings that salvord has where they differ from
// its own.
func (b *mounting) rclone(ctx context.Context, folder, point, cache string) (func() error, error) {
	if err := errors.Join(os.MkdirAll(point, 0o755), os.MkdirAll(filepath.Join(b.server.dir, folder), 0o755)); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "rclone", "mount", ":sftp:/"+folder, point, "--config", "/dev/null",
		"--sftp-host", "127.0.0.1", "--sftp-port", b.server.port, "--sftp-user", "bench", "--sftp-key-file", b.server.key, "--sftp-known-hosts-file", b.server.hosts,
		"--vfs-cache-mode", "full", "--vfs-write-back", mountWrites.String(), "--transfers", "4", "--dir-cache-time", "5m", "--attr-timeout", "1s",
		"--vfs-read-chunk-size", "16M", "--vfs-cache-max-size", "8G", "--max-read-ahead", "1M", "--cache-dir", cache)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	end := func() error {
		err := run(exec.CommandContext(context.WithoutCancel(ctx), "umount", point))
		return errors.Join(err, cmd.Wait(), os.Remove(point))
	}
	if err := until(ctx, 20*time.Second, "rclone mounts", func() bool { return mount.Mounted(point) }); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		return nil, fmt.Errorf("%w: %s", err, said.String())
	}
	return end, nil
}

func bytesIn(dir string) (size int64) {
	eachFile(dir, func(info os.FileInfo) { size += info.Size() })
	return size
}

func filesIn(dir string) (count int) {
	eachFile(dir, func(os.FileInfo) { count++ })
	return count
}

// eachFile looks at what is on the remote, without uploads under way.
func eachFile(dir string, do func(os.FileInfo)) {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error { // what is just being renamed is seen the next time
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".partial") {
			return nil //nolint:nilerr // see above
		}
		if info, err := d.Info(); err == nil {
			do(info)
		}
		return nil
	})
}
