package delivery

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"salvor/internal/hostpath"
	"salvor/internal/memdir"

	"golang.org/x/sys/unix"
)

// unavailable skips a test that this machine can't run, or fails it in CI.
func unavailable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// inPrivateMounts runs f on a thread with mounts of its own, which end with it.
// f reports with t.Error, not t.Fatal.
func inPrivateMounts(t *testing.T, f func()) {
	t.Helper()
	unshared := make(chan error, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		unshared <- err
		if err == nil {
			f()
		}
	}()
	err := <-unshared
	<-done
	if err != nil {
		unavailable(t, "a private mount namespace: "+err.Error())
	}
}

func mountLine(root string) string {
	mounts, _ := os.ReadFile("/proc/thread-self/mounts")
	var found []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+root+" ") {
			found = append(found, line)
		}
	}
	return strings.Join(found, "")
}

func TestMountIsOneFileSystemInMemory(t *testing.T) {
	root := filepath.Join(t.TempDir(), "salvor", "secrets")
	inPrivateMounts(t, func() {
		for range 2 {
			kind, err := Mount(root)
			if err != nil || kind != memdir.Tmpfs && kind != memdir.Ramfs {
				t.Errorf("Mount: %q, %v", kind, err)
			}
		}
		line := mountLine(root)
		if strings.Count(line, "\n") != 1 {
			t.Errorf("mounted more than once: %q", line)
		}
		for _, option := range []string{"nosuid", "nodev", "noexec"} {
			if !strings.Contains(line, option) {
				t.Errorf("%s is missing in %q", option, line)
			}
		}
		if strings.HasPrefix(line, "tmpfs") && (!strings.Contains(line, "noswap") || !strings.Contains(line, "size=65536k")) {
			t.Errorf("a tmpfs without noswap or limit: %q", line)
		}
		if info, err := os.Stat(root); err != nil || info.Mode().Perm() != rootMode {
			t.Errorf("mode is %v, %v; want 0700", info.Mode(), err)
		}
	})
}

func TestRamfsServesWhereTmpfsCanSwap(t *testing.T) {
	root := t.TempDir()
	inPrivateMounts(t, func() {
		if err := unix.Mount("ramfs", root, "ramfs", mountFlags, "mode=0700"); err != nil {
			t.Errorf("mount ramfs: %v", err)
			return
		}
		if kind, err := Mount(root); err != nil || kind != memdir.Ramfs {
			t.Errorf("Mount: %q, %v; want the ramfs that is there", kind, err)
		}
		if _, err := Deliver(hostpath.Secrets(root), sample()); err != nil {
			t.Error(err)
		}
	})
}

func TestNothingIsWrittenToADisk(t *testing.T) {
	root := t.TempDir()
	if _, err := memory(root); err == nil {
		t.Skip("the temporary folder is in memory here")
	}
	if _, err := Deliver(hostpath.Secrets(root), sample()); err == nil || !strings.Contains(err.Error(), "on a disk") {
		t.Errorf("delivered to a disk: %v", err)
	}
	if entries, _ := os.ReadDir(root); len(entries) != 0 {
		t.Errorf("%d entries on the disk", len(entries))
	}
}
