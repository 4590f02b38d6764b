package mounter_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk is a small one that the cache has for itself.
type disk struct {
	t   *testing.T
	dir string
}

// newDiskOf has a stand keep its cache on a small disk.
func newDiskOf(s *stand) disk {
	s.t.Helper()
	d := disk{s.t, filepath.Join(s.t.TempDir(), "disk")}
	must(s.t, os.Mkdir(d.dir, 0o700))
	must(s.t, unix.Mount("tmpfs", d.dir, "tmpfs", 0, "size=16m"))
	s.t.Cleanup(func() { _ = unix.Unmount(d.dir, unix.MNT_DETACH) })
	s.Cache, s.Keep, s.Aside, s.Size = filepath.Join(d.dir, "cache"), filepath.Join(d.dir, "keep"), filepath.Join(d.dir, "aside"), 8<<20
	return d
}

// fill leaves some pages of the disk free, until empty is called.
func (d disk) fill(pages uint64) (empty func()) {
	d.t.Helper()
	f, err := os.Create(filepath.Join(d.dir, "ballast"))
	must(d.t, err)
	eventually(d.t, "the rest of the disk is taken", func() bool { // the cache writes meanwhile
		var st unix.Statfs_t
		must(d.t, unix.Statfs(d.dir, &st))
		err := unix.Fallocate(int(f.Fd()), 0, 0, int64(st.Bfree-pages)*st.Bsize)
		if err != nil && !errors.Is(err, unix.ENOSPC) {
			d.t.Fatal(err)
		}
		return err == nil
	})
	must(d.t, f.Close())
	return func() { must(d.t, os.Remove(f.Name())) }
}

// TestTheBeginningOfAWrite has the disk take only the beginning of a write.
func TestTheBeginningOfAWrite(t *testing.T) {
	s := newStand(t)
	disk := newDiskOf(s)
	s.start()
	at := filepath.Join(s.Point, "a")
	in := func(flags int, content []byte) error {
		f, err := os.OpenFile(at, os.O_WRONLY|flags, 0)
		must(t, err)
		_, err = f.Write(content)
		return errors.Join(err, f.Close())
	}
	for pages := range uint64(6) {
		for _, flags := range []int{os.O_TRUNC, os.O_APPEND} {
			old, more := random(t, 3572), random(t, 13950)
			eventually(t, "there is room again", func() bool { return os.WriteFile(at, old, 0o600) == nil })
			s.uploaded()
			empty := disk.fill(pages)
			err := in(flags, more)
			empty()
			if pages < 3 && !errors.Is(err, unix.ENOSPC) {
				t.Errorf("%d pages free: %v, want ENOSPC", pages, err)
			}
			s.uploaded()
			want := more
			if flags == os.O_APPEND {
				want = append(old, more...)
			}
			for _, dir := range []string{s.Remote, s.Point} {
				if got := read(t, filepath.Join(dir, "a")); !bytes.HasPrefix(want, got) || err == nil && len(got) < len(want) {
					t.Errorf("%d pages free, flags %x: %d bytes in %s are not what was written; the write: %v", pages, flags, len(got), dir, err)
				}
			}
		}
	}
}

// TestWhatWaitsOnAFullDisk uses files that wait for their upload while other programs take each
// page of the disk that becomes free.
func TestWhatWaitsOnAFullDisk(t *testing.T) {
	s := newStand(t)
	disk := newDiskOf(s)
	s.start()
	s.stale()
	content := random(t, 9000)
	in := func(name string) string { return filepath.Join(s.Point, name) }
	for _, name := range []string{"read", "renamed", "truncated", "written"} {
		must(t, os.WriteFile(in(name), content, 0o600))
	}
	empty := disk.fill(0)
	stop := disk.crowd()
	if got, err := os.ReadFile(in("read")); !bytes.Equal(got, content) && !errors.Is(err, unix.ENOSPC) {
		t.Errorf("reading gives %d bytes, %v", len(got), err)
	}
	must(t, os.Rename(in("renamed"), in("other")))
	if err := os.WriteFile(in("truncated"), []byte("anew"), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("truncating and writing: %v, want ENOSPC", err)
	}
	f, err := os.OpenFile(in("written"), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("changed"), 4096)
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("changing a part: %v, want ENOSPC", err)
	}
	must(t, f.Close())
	stop()
	empty()
	s.confirm()
	s.uploaded()
	for _, name := range []string{"read", "other", "truncated", "written"} {
		if got, err := os.ReadFile(filepath.Join(s.Remote, name)); err != nil || !bytes.Equal(got, content) {
			t.Errorf("the remote has %d bytes of %q, %v", len(got), name, err)
		}
	}
}

// crowd takes what becomes free, until stop is called.
func (d disk) crowd() (stop func()) {
	d.t.Helper()
	f, err := os.OpenFile(filepath.Join(d.dir, "ballast"), os.O_WRONLY|os.O_APPEND, 0)
	must(d.t, err)
	ended := make(chan struct{})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for page := make([]byte, 4096); ; {
				select {
				case <-ended:
					return
				default:
					_, _ = f.Write(page)
				}
			}
		})
	}
	return func() { close(ended); all.Wait(); must(d.t, f.Close()) }
}
