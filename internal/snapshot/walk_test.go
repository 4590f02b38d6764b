package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"salvor/internal/finding"
)

// TestNamesMayBeAnyBytes: a folder whose name is not UTF-8, as old programs make
// them, kept every snapshot of its volume from being taken.
func TestNamesMayBeAnyBytes(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	odd := filepath.Join(l.data, "M\xfcller")
	if err := os.Mkdir(odd, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(odd, "a\xff"), "one")
	if r := l.take(t, nil); len(r.Findings) > 0 || r.Files != 3 {
		t.Errorf("%+v", r)
	}
	write(t, filepath.Join(odd, "a\xff"), "two")
	if r := l.take(t, nil); r.Skipped {
		t.Error("what was written there was not taken")
	}
}

// TestAVolumeMayBeALink: the source of a bind may be a link to another disk. Its data
// changes while the link does not.
func TestAVolumeMayBeALink(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	disk, link := t.TempDir(), filepath.Join(t.TempDir(), "data")
	if err := os.Symlink(disk, link); err != nil {
		t.Fatal(err)
	}
	bind := func(j *Job) { j.Volumes[0].Path = link }
	write(t, filepath.Join(disk, "a"), "one")
	cool(t, link)
	first := l.take(t, bind)
	write(t, filepath.Join(disk, "b"), "two")
	if r := l.take(t, bind); r.Skipped || r.Files != first.Files+1 {
		t.Errorf("%d files, then %+v", first.Files, r)
	}
}

// TestS31AScanStaysInItsVolume: what a container puts in a folder's place while it is
// walked leads nowhere else, and holds nothing up.
func TestS31AScanStaysInItsVolume(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	write(t, filepath.Join(outside, "host"), "the host's")
	for name, swap := range map[string]func(string) error{
		"a link": func(at string) error { return os.Symlink(outside, at) },
		"a pipe": func(at string) error { return unix.Mkfifo(at, 0o600) },
	} {
		volume := t.TempDir()
		inner := filepath.Join(volume, "b")
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(volume, "a"), "")
		var seen []string
		err := walk(volume, everything, func(n node) error {
			if seen = append(seen, n.rel); n.rel != "a" {
				return nil
			}
			return errors.Join(os.Remove(inner), swap(inner))
		})
		if !slices.Equal(seen, []string{".", "a", "b"}) {
			t.Errorf("%s: came to %q, %v", name, seen, err)
		}
	}
}

// TestS14HugeHolesAreNotRead: a file of 15 TiB takes no room and would be read for
// hours.
func TestS14HugeHolesAreNotRead(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	write(t, filepath.Join(l.data, "notes"), strings.Repeat("x", 8192))
	write(t, filepath.Join(l.data, "huge"), "")
	if err := os.Truncate(filepath.Join(l.data, "huge"), 15<<40); err != nil {
		t.Fatal(err)
	}
	r := l.take(t, nil)
	if len(r.Findings) != 1 || r.Findings[0].Code != finding.VolumeSparse || r.Findings[0].Severity != finding.Fatal {
		t.Errorf("%+v", r.Findings)
	}
	if err := os.Truncate(filepath.Join(l.data, "huge"), 1<<20); err != nil {
		t.Fatal(err)
	}
	if r := l.take(t, nil); len(r.Findings) > 0 || r.Snapshot.ID == "" {
		t.Errorf("a small hole is in the way: %+v", r)
	}
}
