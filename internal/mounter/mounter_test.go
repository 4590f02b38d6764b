package mounter_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rclone/rclone/backend/local"
	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/configmap"
	"golang.org/x/sys/unix"

	"salvor/internal/mount"
	"salvor/internal/mounter"
)

// childEnv has this test's program be a mounter, as asked on its standard input.
const childEnv = "SALVOR_TEST_MOUNTER"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := child(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A setup is what a mounter of these tests is asked to be.
type setup struct {
	Remote, Point, Cache, Keep, Aside, Stamp string
	Size                                     int64
	ReadOnly, Flush                          bool
	Patience                                 time.Duration
	Sealed                                   *sealed // in place of the folder Remote
}

// child mounts, says so, and unmounts when its standard input ends.
func child() error {
	in := json.NewDecoder(os.Stdin)
	var s setup
	if err := in.Decode(&s); err != nil {
		return err
	}
	ctx := context.Background()
	open := func() (mounter.Remote, error) { return local.NewFs(ctx, "disk", s.Remote, configmap.Simple{}) }
	if s.Sealed != nil {
		open = s.Sealed.open(ctx)
	}
	m, err := mounter.Start(ctx, mounter.Options{
		Stack: "photos", Cache: s.Cache, Keep: s.Keep, Aside: s.Aside, Size: s.Size, UID: 33, GID: 33, Umask: 0o027,
		May: mount.Fresh(s.Stamp), WriteBack: 50 * time.Millisecond, Patience: s.Patience,
	}, []mounter.Volume{{Name: "library", Open: open, Point: s.Point, ReadOnly: s.ReadOnly}})
	if err != nil {
		return err
	}
	fmt.Println("mounted")
	_ = in.Decode(&s) // ends with the input
	last, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if s.Flush {
		m.Upload(last)
	}
	return m.Close()
}

// A stand is a remote folder and a mounter of it.
type stand struct {
	setup
	t   *testing.T
	cmd *exec.Cmd
	end func() error
}

func newStand(t *testing.T) *stand {
	t.Helper()
	if os.Geteuid() != 0 || unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("needs root and /dev/fuse")
		}
		t.Skip("needs root and /dev/fuse")
	}
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	s := &stand{t: t, setup: setup{Remote: in("remote"), Point: in("point"), Cache: in("cache"), Keep: in("keep"), Aside: in("aside"), Stamp: in("stamp"), Size: 1 << 30}}
	must(t, os.Mkdir(s.Remote, 0o700))
	s.confirm()
	t.Cleanup(func() {
		if s.cmd != nil {
			s.kill()
		}
		for mount.Mounted(s.Point) || unix.Unmount(s.Point, unix.MNT_DETACH) == nil {
			_ = unix.Unmount(s.Point, unix.MNT_DETACH)
		}
		must(t, mount.Remove(s.Point))
	})
	return s
}

// confirm has the claim confirmed now.
func (s *stand) confirm() { must(s.t, mount.Confirm(s.Stamp)) }

// stale has the claim confirmed too long ago.
func (s *stand) stale() {
	before := time.Now().Add(-2 * mount.ConfirmedFor)
	must(s.t, os.Chtimes(s.Stamp, before, before))
}

func (s *stand) start() {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	must(s.t, err)
	out, err := cmd.StdoutPipe()
	must(s.t, err)
	must(s.t, cmd.Start())
	must(s.t, json.NewEncoder(in).Encode(s.setup))
	said := make([]byte, len("mounted"))
	if _, err := out.Read(said); err != nil || string(said) != "mounted" {
		s.t.Fatalf("the mounter said %q, %v", said, err)
	}
	s.cmd, s.end = cmd, in.Close
}

// kill ends the mounter as a crash would.
func (s *stand) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// stop ends the mounter in order.
func (s *stand) stop() {
	s.t.Helper()
	must(s.t, s.end())
	must(s.t, s.cmd.Wait())
	s.cmd = nil
}

func (s *stand) unsent() mount.Unsent {
	s.t.Helper()
	found, err := mount.Look(s.Cache)
	must(s.t, err)
	return found
}

func (s *stand) uploaded() {
	s.t.Helper()
	eventually(s.t, "everything is uploaded", func() bool { return len(s.unsent()) == 0 })
}

func TestMountServesTheRemote(t *testing.T) {
	s := newStand(t)
	s.start()
	must(t, os.MkdirAll(filepath.Join(s.Point, "2026/may"), 0o755))
	must(t, os.WriteFile(filepath.Join(s.Point, "2026/may/a.txt"), []byte("hello"), 0o644))
	s.uploaded()
	if got := read(t, filepath.Join(s.Remote, "2026/may/a.txt")); string(got) != "hello" {
		t.Errorf("the remote has %q", got)
	}
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(s.Point, "2026/may/a.txt"), &st))
	if st.Uid != 33 || st.Gid != 33 || st.Mode&0o777 != 0o640 {
		t.Errorf("the file is of %d:%d with mode %o", st.Uid, st.Gid, st.Mode&0o777)
	}
	for _, dir := range []string{s.Point, filepath.Join(s.Point, "2026")} {
		opened, err := os.Open(dir)
		must(t, err)
		if err := errors.Join(opened.Sync(), opened.Close()); err != nil {
			t.Errorf("fsync of the folder %s: %v", dir, err)
		}
	}
	s.stop()
	if err := os.WriteFile(filepath.Join(s.Point, "b"), nil, 0o600); err == nil || !os.IsPermission(err) && !errors.Is(err, unix.EROFS) {
		t.Errorf("writing under the unmounted mount: %v, want it refused", err)
	}
}

// TestFsyncedBlocksSurvive kills the mounter ten times, after blocks of a file that is on
// the remote were overwritten and synchronised one by one.
func TestFsyncedBlocksSurvive(t *testing.T) {
	const block, blocks, times = 4096, 64, 10
	s := newStand(t)
	name := "disk.img"
	must(t, os.WriteFile(filepath.Join(s.Remote, name), random(t, 1024*block), 0o600))
	kept := 0
	for range times {
		s.start()
		want := random(t, blocks*block)
		f, err := os.OpenFile(filepath.Join(s.Point, name), os.O_RDWR, 0)
		must(t, err)
		for i := range blocks {
			_, err := f.WriteAt(want[i*block:(i+1)*block], int64(i)*16*block)
			must(t, errors.Join(err, f.Sync()))
		}
		s.kill()
		_ = f.Close()
		s.start()
		s.uploaded()
		got := read(t, filepath.Join(s.Remote, name))
		for i := range blocks {
			if bytes.Equal(got[i*16*block:][:block], want[i*block:][:block]) {
				kept++
			}
		}
		s.stop()
	}
	t.Logf("%d of %d synchronised blocks are on the remote after %d kills", kept, blocks*times, times)
	if kept != blocks*times {
		t.Errorf("%d blocks were lost", blocks*times-kept)
	}
}

// TestUnsynchronisedIsNotMixed kills the mounter while blocks of a file on the remote were
// written and not synchronised: the file has all of them, and between them what it had.
func TestUnsynchronisedIsNotMixed(t *testing.T) {
	s := newStand(t)
	want := random(t, 1<<20)
	must(t, os.WriteFile(filepath.Join(s.Remote, "a"), want, 0o600))
	s.start()
	f, err := os.OpenFile(filepath.Join(s.Point, "a"), os.O_RDWR, 0)
	must(t, err)
	for i := range 4 {
		block := bytes.Repeat([]byte("n"), 100)
		copy(want[i*8192:], block)
		_, err := f.WriteAt(block, int64(i)*8192)
		must(t, err)
	}
	s.kill()
	_ = f.Close()
	s.start()
	s.uploaded()
	for _, at := range []string{s.Remote, s.Point} {
		if !bytes.Equal(read(t, filepath.Join(at, "a")), want) {
			t.Errorf("the file in %s is another one", at)
		}
	}
}

// TestUploadsWaitForTheClaim has the claim not confirmed for too long.
func TestUploadsWaitForTheClaim(t *testing.T) {
	s := newStand(t)
	s.start()
	s.stale()
	must(t, os.WriteFile(filepath.Join(s.Point, "a"), []byte("held"), 0o600))
	eventually(t, "the upload is due", func() bool { return len(s.unsent()) == 1 && time.Since(s.unsent()[0].Since) > time.Second })
	if entries, err := os.ReadDir(s.Remote); err != nil || len(entries) > 0 {
		t.Fatalf("the remote has %v, %v; want the upload held back", entries, err)
	}
	if got := read(t, filepath.Join(s.Point, "a")); string(got) != "held" {
		t.Errorf("the mount shows %q meanwhile", got)
	}
	s.confirm()
	s.uploaded()
	if got := read(t, filepath.Join(s.Remote, "a")); string(got) != "held" {
		t.Errorf("the remote has %q", got)
	}
}

// TestCacheFull holds the uploads back until the cache has no room.
func TestCacheFull(t *testing.T) {
	s := newStand(t)
	s.Size = 4 << 20
	s.start()
	must(t, os.WriteFile(filepath.Join(s.Point, "before"), []byte("readable"), 0o600))
	s.uploaded()
	s.stale()
	f, err := os.Create(filepath.Join(s.Point, "large"))
	must(t, err)
	written := 0
	for written < 16<<20 && err == nil {
		var n int
		n, err = f.Write(make([]byte, 64<<10))
		written += n
	}
	if !errors.Is(err, unix.ENOSPC) || written < 3<<20 {
		t.Errorf("after %d bytes: %v, want ENOSPC", written, err)
	}
	_ = f.Close()
	if got := read(t, filepath.Join(s.Point, "before")); string(got) != "readable" {
		t.Errorf("reading gives %q", got)
	}
	s.confirm()
	s.uploaded()
	must(t, os.WriteFile(filepath.Join(s.Point, "after"), []byte("again"), 0o600))
}

func TestReadOnly(t *testing.T) {
	s := newStand(t)
	must(t, os.WriteFile(filepath.Join(s.Remote, "a"), []byte("theirs"), 0o600))
	s.ReadOnly = true
	s.start()
	if got := read(t, filepath.Join(s.Point, "a")); string(got) != "theirs" {
		t.Errorf("reads %q", got)
	}
	if err := os.WriteFile(filepath.Join(s.Point, "b"), nil, 0o600); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing: %v", err)
	}
}

// TestMemory has an idle mount keep to its part.
func TestMemory(t *testing.T) {
	s := newStand(t)
	s.start()
	must(t, os.WriteFile(filepath.Join(s.Point, "a"), random(t, 8<<20), 0o600))
	s.uploaded()
	private := 0
	for line := range strings.Lines(string(read(t, fmt.Sprintf("/proc/%d/smaps_rollup", s.cmd.Process.Pid)))) {
		var kb int
		if _, err := fmt.Sscanf(strings.TrimSpace(line), "Private_Dirty: %d kB", &kb); err == nil {
			private += kb
		}
	}
	t.Logf("private memory of an idle mount: %.1f MiB", float64(private)/1024)
	if private > 20<<10 {
		t.Errorf("private memory is %d KiB, want at most 20 MiB", private)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	must(t, err)
	return content
}

func random(t *testing.T, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := rand.Read(b)
	must(t, err)
	return b
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for began := time.Now(); !is(); <-tick.C {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// A consumer is a shell in a mount namespace of its own, as a container is.
type consumer struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// newConsumer has a folder of its own show what is mounted at point.
func newConsumer(t *testing.T, point, target string) *consumer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `while read -r line; do eval "$line"; echo "$?"; done`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	c := &consumer{t, cmd, in, bufio.NewReader(out)}
	if !c.does("mount --make-rprivate / && mkdir -p " + target + " && mount --bind " + point + " " + target) {
		t.Fatal("the consumer has no mount")
	}
	return c
}

// does reports whether a line of shell succeeds.
func (c *consumer) does(line string) bool {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, line)
	must(c.t, err)
	said, err := c.out.ReadString('\n')
	must(c.t, err)
	return said == "0\n"
}

// TestConsumersGetTheNewMount kills the mounter under two consumers, one of which has a file
// open.
func TestConsumersGetTheNewMount(t *testing.T) {
	s := newStand(t)
	s.start()
	must(t, os.WriteFile(filepath.Join(s.Point, "a"), []byte("hello"), 0o600))
	s.uploaded()
	target := filepath.Join(t.TempDir(), "data")
	quiet, holding := newConsumer(t, s.Point, target), newConsumer(t, s.Point, target)
	if !quiet.does("grep -q hello "+target+"/a") || !holding.does("exec 9<"+target+"/a") {
		t.Fatal("the consumers can't read")
	}
	s.kill()
	if quiet.does("grep -qs hello " + target + "/a") {
		t.Fatal("a dead mount can be read")
	}
	s.start()
	began := time.Now()
	holders, err := mount.Reattach("photos", map[string]string{"library": s.Point})
	must(t, err)
	for name, c := range map[string]*consumer{"quiet": quiet, "holding": holding} {
		if !c.does("grep -q hello "+target+"/a") || !c.does("echo more > "+target+"/"+name) {
			t.Errorf("the consumer %s does not read and write at its path again", name)
		}
	}
	if after := time.Since(began); after > 2*time.Second {
		t.Errorf("the consumers had their mount after %s", after)
	}
	if len(holders) != 1 || holders[0].PID != holding.cmd.Process.Pid {
		t.Errorf("holders of dead files are %v, want process %d", holders, holding.cmd.Process.Pid)
	}
	s.uploaded()
	if got := read(t, filepath.Join(s.Remote, "holding")); string(got) != "more\n" {
		t.Errorf("the remote has %q", got)
	}
	if again, err := mount.Reattach("photos", map[string]string{"library": s.Point}); len(again) > 0 || err != nil {
		t.Errorf("again: %v, %v", again, err)
	}
}

// TestWhatWasLeftIsAFileAgain kills the mounter before files are uploaded. What is done to them
// afterwards reaches the remote, and loses nothing.
func TestWhatWasLeftIsAFileAgain(t *testing.T) {
	s := newStand(t)
	s.start()
	s.stale()
	content := random(t, 256<<10)
	for _, name := range []string{"patched", "renamed", "removed"} {
		must(t, os.WriteFile(filepath.Join(s.Point, name), content, 0o600))
	}
	eventually(t, "all of them wait, whole", func() bool {
		left := s.unsent()
		return len(left) == 3 && !slices.ContainsFunc(left, func(f mount.File) bool { return !f.Sure || !f.Whole })
	})
	s.kill()
	s.confirm()
	s.start()
	s.uploaded()
	f, err := os.OpenFile(filepath.Join(s.Point, "patched"), os.O_RDWR, 0)
	must(t, err)
	copy(content[4096:], "new")
	_, err = f.WriteAt([]byte("new"), 4096)
	must(t, errors.Join(err, f.Close()))
	must(t, os.Rename(filepath.Join(s.Point, "renamed"), filepath.Join(s.Point, "other")))
	must(t, os.Remove(filepath.Join(s.Point, "removed")))
	s.uploaded()
	if !bytes.Equal(read(t, filepath.Join(s.Remote, "patched")), content) {
		t.Error("the file that was written to is another one on the remote")
	}
	entries, err := os.ReadDir(s.Remote)
	must(t, err)
	if len(entries) != 2 || entries[0].Name() != "other" {
		t.Errorf("the remote has %v", entries)
	}
}

// TestAPartOfAFileThatIsGone: what a killed mounter left of a file that the remote does not
// have any more is set aside, and the volume is mounted.
func TestAPartOfAFileThatIsGone(t *testing.T) {
	s := newStand(t)
	s.Patience = 100 * time.Millisecond
	at := filepath.Join(s.Remote, "a")
	must(t, os.WriteFile(at, random(t, 1<<20), 0o600))
	fingerprint := func() string {
		remote, err := local.NewFs(t.Context(), "disk", s.Remote, configmap.Simple{})
		must(t, err)
		o, err := remote.NewObject(t.Context(), "a")
		must(t, err)
		return fs.Fingerprint(t.Context(), o, false)
	}()
	note := fmt.Sprintf(`{"ModTime": "2026-11-01T12:00:00Z", "Size": 1048576, "Rs": [{"Pos": 0, "Size": 4096}], "Fingerprint": %q, "Dirty": true}`, fingerprint)
	for name, content := range map[string]string{"vfs/library/a": strings.Repeat("n", 1<<20), "vfsMeta/library/a": note} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(s.Cache, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(s.Cache, name), []byte(content), 0o600))
	}
	_, err := mount.TakeOut(s.Cache)
	must(t, err)
	must(t, os.Remove(at))
	s.start()
	if !bytes.HasPrefix(read(t, filepath.Join(s.Aside, "library/a")), bytes.Repeat([]byte("n"), 4096)) {
		t.Error("what was written is not set aside")
	}
	if left := s.unsent(); len(left) > 0 {
		t.Errorf("%v wait", left)
	}
}
