package scenarios

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/lab/scenario"
	"salvor/internal/mount"
	"salvor/internal/storage/drivetest"
)

const (
	driveOwner = "olga@example.com"
	drivePace  = 2  // files that Google lets one account make each second, about
	scribes    = 24 // most of them wait for a remote that refuses
)

// A troubledDrive is a shared volume on an emulated Drive that fails, with a mounter that is
// killed, programs that write and a second host that reads.
type troubledDrive struct {
	*scenario.Scenario
	t     *testing.T
	drive *drivetest.Server
	root  string // the folder that is the volume
	job   mountJob
	disk  string // of the cache
	book  book

	mounted *mounterChild
	since   time.Time     // it is mounted
	served  time.Duration // by former mounters
	reading *mounterChild

	mu     sync.Mutex
	absent bool // no daemon confirms the claim
}

// TestDriveFaults has programs write to a shared volume while everything below it fails:
// what was reported as uploaded is on the Drive, what is not there is listed, and no file
// is a mixture. A listing that comes late can leave a copy under a former name, which is
// counted: Drive does not show it to the mounter that would remove it.
func TestDriveFaults(t *testing.T) {
	s := scenario.WithoutLab(t, time.Minute)
	files, size := 500, int64(64<<20)
	if s.Full {
		files, size = int(20_000*s.For/(10*time.Minute)), 2<<30
	}
	d := newTroubledDrive(t, s, size)
	ctx, stop := context.WithTimeout(t.Context(), s.For)
	defer stop()
	var all sync.WaitGroup
	writers := d.scribes(ctx, &all, files, size)
	all.Go(func() { d.confirms(ctx) })
	all.Go(func() { d.acknowledges(ctx) })
	all.Go(func() { d.reads(ctx, rand.New(rand.NewPCG(s.Seed, 99))) })
	for ctx.Err() == nil {
		d.strike(ctx)
	}
	d.served += time.Since(d.since)
	all.Wait()
	made := 0
	for _, w := range writers {
		made += w.made
		s.Count("errors that programs got", w.errors)
	}
	s.Count("files", made)
	t.Logf("%d files in %s, mounted for %s of them: %.0f times Drive's pace", made, s.For, d.served.Round(time.Second), float64(made)/s.For.Seconds()/drivePace)
	d.settles(t)
}

func newTroubledDrive(t *testing.T, s *scenario.Scenario, large int64) *troubledDrive {
	t.Helper()
	if os.Geteuid() != 0 || unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("needs root and /dev/fuse")
		}
		t.Skip("needs root and /dev/fuse")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	must(t, errors.Join(os.Mkdir(in("drive"), 0o700), os.Mkdir(in("disk"), 0o700), os.Mkdir(in("disk-of-the-reader"), 0o700)))
	d := &troubledDrive{Scenario: s, t: t, disk: in("disk"), book: book{former: map[string]*paper{}}}
	d.drive = drivetest.New(drivetest.Options{Seed: s.Seed, Dir: in("drive")})
	top := d.drive.Account(driveOwner, 0)
	d.drive.AddClient(drivetest.Client{ID: driveClient, Secret: driveSecret})
	d.root = d.drive.MakeFolder(top, "library")
	front, err := drivetest.NewFront(d.drive)
	must(t, err)
	proxy, err := front.Proxy(t.Context())
	must(t, err)
	must(t, os.WriteFile(in("ca.pem"), front.CA, 0o600))
	must(t, unix.Mount("tmpfs", d.disk, "tmpfs", 0, fmt.Sprintf("size=%d", 2*large+256<<20)))
	d.job = mountJob{
		Proxy: proxy, CA: in("ca.pem"), Token: d.grant(), Root: top, Point: in("point"), Stamp: in("stamp"),
		Cache: in("disk/cache"), Keep: in("disk/copies"), Aside: in("disk/aside"), Size: large + 128<<20, KeepFree: 16 << 20,
	}
	t.Cleanup(d.clear)
	must(t, mount.Confirm(d.job.Stamp))
	d.start()
	d.startReader()
	return d
}

func (d *troubledDrive) grant() string {
	return d.drive.Grant(driveOwner, driveClient, drivetest.ScopeDrive)
}

func (d *troubledDrive) readerJob() mountJob {
	j := d.job
	j.ReadOnly, j.Point = true, d.job.Point+"-of-the-reader"
	j.Cache, j.Keep, j.Aside = d.disk+"-of-the-reader/cache", d.disk+"-of-the-reader/copies", d.disk+"-of-the-reader/aside"
	return j
}

func (d *troubledDrive) clear() {
	for _, m := range []*mounterChild{d.mounted, d.reading} {
		if m != nil {
			m.kill()
		}
	}
	for _, point := range []string{d.job.Point, d.readerJob().Point} {
		for unix.Unmount(point, unix.MNT_DETACH) == nil {
			continue
		}
		if err := mount.Remove(point); err != nil {
			d.t.Error(err)
		}
	}
	if err := unix.Unmount(d.disk, unix.MNT_DETACH); err != nil {
		d.t.Error(err)
	}
}

// start mounts the volume, as systemd does again and again.
func (d *troubledDrive) start() {
	within(d.t, 2*time.Minute, "the volume is mounted", func() (err error) {
		d.job.Aside = filepath.Join(d.disk, "aside", time.Now().UTC().Format("20060102T150405.000000"))
		d.mounted, err = startMounter(d.t.Context(), d.job)
		return err
	})
	d.since = time.Now()
}

func (d *troubledDrive) startReader() {
	within(d.t, 2*time.Minute, "the second host has the volume", func() (err error) {
		d.reading, err = startMounter(d.t.Context(), d.readerJob())
		return err
	})
}

// scribes starts the programs.
func (d *troubledDrive) scribes(ctx context.Context, all *sync.WaitGroup, files int, large int64) []*scribe {
	// faster than the goal: half of the time no mounter runs, or it does not answer
	pace := time.Duration(float64(d.For) * 0.4 / float64(files) * scribes)
	var writers []*scribe
	for n := range scribes + 1 {
		w := &scribe{b: &d.book, point: d.job.Point, top: fmt.Sprintf("program-%d", n), rand: rand.New(rand.NewPCG(d.Seed, uint64(n)))}
		writers = append(writers, w)
		if n < scribes {
			all.Go(func() { w.write(ctx, files/scribes, pace) })
		} else {
			all.Go(func() { w.writeLarge(ctx, large) })
		}
	}
	return writers
}

// confirms is the daemon, which looks at the claims.
func (d *troubledDrive) confirms(ctx context.Context) {
	d.every(ctx, 5*time.Second, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if !d.absent {
			if err := mount.Confirm(d.job.Stamp); err != nil {
				d.t.Error(err)
			}
		}
	})
}

// acknowledges is status, asked again and again, less often where there is much to look at.
func (d *troubledDrive) acknowledges(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		if err := d.book.acknowledge(d.unsent); err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.t.Error(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(time.Second, 10*time.Since(began))):
		}
	}
}

// unsent are the files that status shows as not uploaded: what waits, and what was set aside, as a
// file is that was closed a moment before the mounter was killed.
func (d *troubledDrive) unsent() (mount.Unsent, error) {
	waits, err := mount.Look(d.job.Cache)
	if err != nil {
		return nil, err
	}
	aside, err := mount.Quarantined(filepath.Join(d.disk, "aside"))
	return append(waits, aside...), err
}

// reads is the second host: what it reads was written, whole.
func (d *troubledDrive) reads(ctx context.Context, r *rand.Rand) {
	d.every(ctx, 50*time.Millisecond, func() {
		p := d.book.any(r)
		if p == nil {
			return
		}
		d.book.mu.Lock()
		name, heavy := p.name(), p.versions[0].bytes == nil
		d.book.mu.Unlock()
		if heavy {
			return
		}
		content, err := os.ReadFile(filepath.Join(d.readerJob().Point, name))
		switch {
		case err != nil:
			d.Count("reads that failed", 1)
		case d.book.mixed(p, content):
			d.book.mu.Lock()
			d.t.Errorf("the second host reads %d bytes of %s that no program wrote, %s", len(content), name, p.origins(content))
			d.book.mu.Unlock()
		default:
			d.Count("reads", 1)
		}
	})
}

func (d *troubledDrive) every(ctx context.Context, pace time.Duration, do func()) {
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do()
		}
	}
}

// settles ends all faults, has everything uploaded, and compares.
func (d *troubledDrive) settles(t *testing.T) {
	d.drive.Mend()
	must(t, mount.Confirm(d.job.Stamp))
	ctx, stop := context.WithCancel(t.Context())
	var confirming sync.WaitGroup
	confirming.Go(func() { d.confirms(ctx) })
	began := time.Now()
	err := d.mounted.flush()
	stop()
	confirming.Wait()
	d.mounted = nil
	must(t, err)
	left, err := mount.Look(d.job.Cache)
	must(t, err)
	t.Logf("flushed in %s, %d files are left", time.Since(began).Round(time.Second/10), len(left))
	must(t, d.book.acknowledge(d.unsent))
	aside, err := d.aside(left)
	must(t, err)
	v := d.book.judge(d.drive, d.root, aside)
	for i, wrong := range v.wrong {
		if i == 30 {
			t.Errorf("and %d more", len(v.wrong)-i)
			break
		}
		t.Error(wrong)
	}
	for _, how := range v.left[:min(2, len(v.left))] {
		t.Log(how)
	}
	d.Count("stored", v.stored)
	d.Count("stored, and a later change failed", v.kept)
	d.Count("listed", v.listed)
	d.Count("leftovers under former names", v.leftover)
	d.Count("wrong", len(v.wrong))
	t.Log(d.drive.Counts())
}

// aside returns the checksums of what was set aside, and of what still waits in the cache.
func (d *troubledDrive) aside(left mount.Unsent) (map[string]bool, error) {
	sums := map[string]bool{}
	add := func(f *os.File, err error) error {
		if err != nil {
			return err
		}
		defer f.Close()
		sum, err := sumOf(f)
		sums[sum] = true
		return err
	}
	for _, f := range left {
		if err := add(f.Open()); err != nil {
			return nil, err
		}
	}
	err := filepath.WalkDir(filepath.Join(d.disk, "aside"), func(p string, e fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil || !e.Type().IsRegular():
			return err
		}
		return add(os.Open(p))
	})
	return sums, err
}
