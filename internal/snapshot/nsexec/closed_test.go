package nsexec

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestS24TheHostIsReadOnlyForTheProgram but for the folders that it is to write to.
func TestS24TheHostIsReadOnlyForTheProgram(t *testing.T) {
	t.Parallel()
	closed, open := t.TempDir(), t.TempDir()
	for _, dir := range []string{closed, open, "/dev/shm", "/run"} {
		_, err := run(t, Spec{Argv: []string{"/bin/mkdir", filepath.Join(dir, "salvor-s24")}, Writes: []string{open}})
		if made := os.Remove(filepath.Join(dir, "salvor-s24")) == nil; made != (dir == open) || (err == nil) != made {
			t.Errorf("%s: made %t, %v", dir, made, err)
		}
	}
}

// TestS24TheProgramHasFewCapabilities: none to load modules, trace processes, change
// the network or set the clock.
func TestS24TheProgramHasFewCapabilities(t *testing.T) {
	t.Parallel()
	out, err := run(t, Spec{Argv: []string{"/bin/grep", "-E", "^(CapEff|CapBnd|NoNewPrivs)", "/proc/self/status"}})
	var mask uint64
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if kept(c) {
			mask |= 1 << c
		}
	}
	want := fmt.Sprintf("CapEff:\t%016x\nCapBnd:\t%016x\nNoNewPrivs:\t1\n", mask, mask)
	if err != nil || out != want {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
	if mask&(1<<unix.CAP_SYS_MODULE|1<<unix.CAP_SYS_PTRACE|1<<unix.CAP_NET_ADMIN|1<<unix.CAP_SYS_TIME|1<<unix.CAP_SYS_RAWIO|1<<unix.CAP_SYS_BOOT) != 0 {
		t.Errorf("kept %x", mask)
	}
}

// TestS24TheProgramCantUndoIt: it mounts nothing, not even what is there already as
// writable, and enters no other namespace. It stores all attributes of files.
func TestS24TheProgramCantUndoIt(t *testing.T) {
	t.Parallel()
	open := t.TempDir()
	for _, argv := range [][]string{
		{"/bin/mount", "-o", "remount,rw,bind", "/"},
		{"/bin/mount", "-t", "tmpfs", "none", open},
		{"/bin/umount", open},
		{"/usr/bin/unshare", "-m", "/bin/true"},
		{"/usr/bin/nsenter", "-t", "1", "-m", "/bin/true"},
	} {
		if out, err := run(t, Spec{Argv: argv, Writes: []string{open}}); err == nil {
			t.Errorf("%q is done: %s", argv, out)
		}
	}
	file := filepath.Join(open, "f")
	if out, err := run(t, Spec{Argv: []string{os.Args[0], setAttribute, file}, Writes: []string{open}}); err != nil {
		t.Errorf("an attribute: %s, %v", out, err)
	}
	value := make([]byte, 8)
	if n, err := unix.Getxattr(file, attribute, value); err != nil || string(value[:n]) != "kept" {
		t.Errorf("%q, %v", value[:n], err)
	}
}

// TestS31NoLinkShowsAnotherFolder: a folder that a container may write to can't
// have restic read another one of the host.
func TestS31NoLinkShowsAnotherFolder(t *testing.T) {
	t.Parallel()
	volumes, outside := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "f"), []byte("the host's"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": outside, "up": "../" + filepath.Base(outside)} {
		if err := os.Symlink(to, filepath.Join(volumes, name)); err != nil {
			t.Fatal(err)
		}
		for _, source := range []string{filepath.Join(volumes, name), filepath.Join(volumes, name, "f")} {
			out, err := run(t, Spec{Argv: []string{"/bin/cat", Root + "/v/f", Root + "/v"}, Binds: []Bind{{Source: source, Within: volumes, Target: Root + "/v"}}})
			if err == nil || strings.Contains(out, "host's") {
				t.Errorf("%s: %q, %v", source, out, err)
			}
		}
	}
}
