package mount

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Holder is a process that has a file or folder open of a mount whose mounter died. It
// gets errors from it until it is started again.
type Holder struct {
	PID       int
	Container string // Docker's id, "" for a process that is in none
}

// Reattach puts the mounts of a stack that are served now in the place of those of a killed
// mounter, in every mount namespace that has one: containers keep the mount with which they
// were started. It returns the processes that have something of a dead one open. Points are
// the folders by the volume's name. It may be called again.
func Reattach(stack string, points map[string]string) ([]Holder, error) {
	live, err := served(stack, points)
	if err != nil {
		return nil, err
	}
	var holders []Holder
	var errs []error
	for _, pids := range namespaces() {
		mounts, err := mountsOf(pids[0])
		if err != nil {
			continue // it has just ended
		}
		for _, m := range mounts {
			now, ours := live[m.source]
			if !ours || m.device == now.device {
				continue
			}
			holders = append(holders, holdersOf(pids, m.id)...)
			if err := replace(pids, m, now.target); err != nil {
				errs = append(errs, fmt.Errorf("mount %s again for process %s: %w", m.target, pids[0], err))
			}
		}
	}
	return holders, errors.Join(errs...)
}

// served returns the mounts at these points, by their source.
func served(stack string, points map[string]string) (map[string]mounted, error) {
	own, err := mountsOf("thread-self")
	live := map[string]mounted{}
	for _, m := range own {
		volume, is := strings.CutPrefix(m.source, Source(stack, ""))
		if is && points[volume] == m.target {
			live[m.source] = m
		}
	}
	return live, err
}

func holdersOf(pids []string, mount string) []Holder {
	var found []Holder
	for _, pid := range pids {
		if holds(pid, mount) {
			found = append(found, holder(pid))
		}
	}
	return found
}

// A mounted is one line of mountinfo (proc_pid_mountinfo(5)).
type mounted struct {
	id, device, root, target, source string
	readOnly                         bool
}

// mountsOf returns the mounts of shared volumes that a process sees.
func mountsOf(pid string) ([]mounted, error) {
	f, err := os.Open("/proc/" + pid + "/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var all []mounted
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		about, kind, _ := strings.Cut(lines.Text(), " - ")
		a, k := strings.Fields(about), strings.Fields(kind)
		if len(a) < 6 || len(k) < 2 || k[0] != "fuse."+Kind {
			continue
		}
		all = append(all, mounted{
			id: a[0], device: a[2], root: unescaped(a[3]), target: unescaped(a[4]), source: unescaped(k[1]),
			readOnly: slices.Contains(strings.Split(a[5], ","), "ro"),
		})
	}
	return all, lines.Err()
}

// unescaped undoes how mountinfo writes spaces and the like.
func unescaped(p string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(p)
}

// namespaces returns the processes by their mount namespace, but those of this one's.
func namespaces() map[string][]string {
	own, _ := os.Readlink("/proc/thread-self/ns/mnt")
	found := map[string][]string{}
	links, err := filepath.Glob("/proc/[0-9]*/ns/mnt")
	if err != nil {
		return nil // the pattern is ours and valid
	}
	for _, link := range links {
		if namespace, err := os.Readlink(link); err == nil && namespace != own {
			found[namespace] = append(found[namespace], strings.Split(link, "/")[2])
		}
	}
	return found
}

// holds reports whether a process has something open of a mount, or is in it.
func holds(pid, mount string) bool {
	if _, err := os.Stat("/proc/" + pid + "/cwd"); errors.Is(err, unix.ENOTCONN) {
		return true
	}
	infos, err := filepath.Glob("/proc/" + pid + "/fdinfo/*")
	if err != nil {
		return false
	}
	for _, info := range infos {
		content, err := os.ReadFile(info)
		if err == nil && slices.Contains(strings.Split(string(content), "\n"), "mnt_id:\t"+mount) {
			return true
		}
	}
	return false
}

var containerID = regexp.MustCompile(`[0-9a-f]{64}`)

func holder(pid string) Holder {
	n, err := strconv.Atoi(pid)
	content, readErr := os.ReadFile("/proc/" + pid + "/cgroup")
	if err != nil || readErr != nil {
		return Holder{PID: n}
	}
	return Holder{PID: n, Container: containerID.FindString(string(content))}
}

// replace puts what is mounted at a point in the place of a dead mount, in the namespace of
// other processes.
func replace(pids []string, dead mounted, point string) error {
	tree, err := unix.OpenTree(unix.AT_FDCWD, filepath.Join(point, dead.root), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(tree)
	if dead.readOnly {
		err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
		if err != nil {
			return err
		}
	}
	inside, err := openNamespace(pids)
	if err != nil {
		return err
	}
	defer unix.Close(inside)
	result := make(chan error, 1)
	go inThread(func() { result <- exchange(inside, tree, dead.target) })
	return <-result
}

// inThread calls do in a thread that ends with it. The program's first thread never ends,
// and what it sees is taken for what the program sees.
func inThread(do func()) {
	runtime.LockOSThread() // and only the first is unlocked again
	if unix.Gettid() != unix.Getpid() {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		do()
	}()
	<-done
	runtime.UnlockOSThread()
}

// openNamespace opens a mount namespace through one of the processes that are in it.
func openNamespace(pids []string) (int, error) {
	for _, pid := range pids {
		if fd, err := unix.Open("/proc/"+pid+"/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0); err == nil {
			return fd, nil
		}
	}
	return 0, errors.New("its processes have ended")
}

// exchange runs on a thread of its own.
func exchange(namespace, tree int, target string) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Setns(namespace, unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("setns: %w", err)
	}
	if err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return unix.MoveMount(tree, "", unix.AT_FDCWD, target, unix.MOVE_MOUNT_F_EMPTY_PATH)
}
