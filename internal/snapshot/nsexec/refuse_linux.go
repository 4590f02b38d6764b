package nsexec

import (
	"fmt"

	seccomp "github.com/elastic/go-seccomp-bpf"
)

// refused are the system calls by which CAP_SYS_ADMIN, or a file's handle, would lead
// out of the namespace: a new mount is as writable as its maker wants.
func refused() []string {
	return []string{
		"mount", "umount2", "mount_setattr", "move_mount", "open_tree", "open_tree_attr", "fsopen", "fsmount", "fsconfig", "fspick", "pivot_root",
		"setns", "unshare", "open_by_handle_at", "fanotify_init", "bpf", "perf_event_open", "lookup_dcookie", "quotactl", "quotactl_fd", "swapon", "swapoff",
	}
}

// refuse has the kernel refuse them to the program and to all that it starts
// (seccomp(2)).
func refuse() error {
	filter := seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync, Policy: seccomp.Policy{
		DefaultAction: seccomp.ActionAllow,
		Syscalls:      []seccomp.SyscallGroup{{Action: seccomp.ActionErrno, Names: refused()}},
	}}
	if err := seccomp.LoadFilter(filter); err != nil {
		return fmt.Errorf("refuse system calls: %w", err)
	}
	return nil
}
