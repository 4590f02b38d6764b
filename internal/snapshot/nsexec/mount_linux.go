package nsexec

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// readOnly makes everything that is mounted read-only in this namespace.
func readOnly() error {
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/", unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("make the host read-only: %w", err)
	}
	return nil
}

// show mounts a bind. Its source is opened once, so that nothing else is shown than
// what was looked at.
func show(b Bind) error {
	source, err := open(b)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	if err := makeTarget(source, b.Target); err != nil {
		return err
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(source), b.Target, "", unix.MS_BIND, ""); err != nil {
		return err
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV}
	if b.Writable {
		attr.Attr_clr = unix.MOUNT_ATTR_RDONLY
	} else {
		attr.Attr_set |= unix.MOUNT_ATTR_RDONLY
	}
	return unix.MountSetattr(unix.AT_FDCWD, b.Target, 0, &attr)
}

// open opens a bind's source, within a folder without following a link.
func open(b Bind) (int, error) {
	if b.Within == "" {
		return unix.Open(b.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	rel, err := filepath.Rel(b.Within, b.Source)
	if err != nil || !filepath.IsLocal(rel) {
		return -1, fmt.Errorf("it is not inside %s", b.Within)
	}
	above, err := unix.Open(b.Within, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	return unix.Openat2(above, rel, &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// makeTarget makes the folder or the file at which a source is shown.
func makeTarget(source int, target string) error {
	var st unix.Stat_t
	if err := unix.Fstat(source, &st); err != nil {
		return err
	}
	if at, err := os.Lstat(target); err == nil && at.IsDir() == (st.Mode&unix.S_IFMT == unix.S_IFDIR) && at.Mode()&os.ModeSymlink == 0 {
		return nil // as in a folder that an earlier bind shows
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return os.MkdirAll(target, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// kept are the capabilities that reading and writing any file with all that
// belongs to it takes. CAP_SYS_ADMIN is among them, for the attributes "trusted."
// and "security.", which programs such as Samba set; see refused for what else it
// would allow.
func kept(capability uintptr) bool {
	switch capability {
	case unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_DAC_READ_SEARCH, unix.CAP_FOWNER, unix.CAP_FSETID, unix.CAP_MKNOD, unix.CAP_SETFCAP, unix.CAP_SYS_ADMIN:
		return true
	}
	return false
}

// renounce gives up for the program, and for all that it starts, the capabilities
// that are not kept, all of them for a user, and gaining any.
func renounce(user string) error {
	for c := uintptr(0); c <= unix.CAP_LAST_CAP; c++ {
		if user == "" && kept(c) {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) { // EINVAL: this kernel does not know it
			return fmt.Errorf("give up capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("gain no privileges: %w", err)
	}
	return nil
}

// become makes this thread, which is to exec, one of a user, "uid:gid", without other
// groups. "" changes nothing.
func become(user string) error {
	if user == "" {
		return nil
	}
	owner, group, _ := strings.Cut(user, ":")
	uid, err := strconv.ParseUint(owner, 10, 32)
	gid, err2 := strconv.ParseUint(group, 10, 32)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	for _, call := range [][4]uintptr{{unix.SYS_SETGROUPS}, {unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)}, {unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)}} {
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
			return errno
		}
	}
	return nil
}
