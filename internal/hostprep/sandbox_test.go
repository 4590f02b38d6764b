package hostprep_test

import (
	"regexp"
	"strings"
	"testing"

	"salvor/internal/hostprep"
	"salvor/internal/resource"
)

// unsafe are the settings that give a service mounts of its own, so that Docker
// would not see what salvord mounts, or that keep it from what it must do.
var unsafe = regexp.MustCompile(`(?m)^(Private(Tmp|Devices|Mounts|Network|Users|IPC)|Protect\w+|ReadOnlyPaths|ReadWritePaths|InaccessiblePaths|BindPaths|TemporaryFileSystem|RootDirectory|MountFlags|RestrictNamespaces|RestrictSUIDSGID)=`)

// TestS26TheServiceIsSandboxed as far as that does not hurt.
func TestS26TheServiceIsSandboxed(t *testing.T) {
	t.Parallel()
	all, err := hostprep.Resources(debian13(), hostprep.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	unit := ""
	for _, r := range all {
		if f, ok := r.(resource.File); ok && strings.HasSuffix(f.Path, "/salvord.service") {
			unit = string(f.Content)
		}
	}
	for _, line := range []string{
		"NoNewPrivileges=yes", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK", "RestrictRealtime=yes", "LockPersonality=yes",
		"MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native", "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit has no line %q", line)
		}
	}
	if at := unsafe.FindString(unit); at != "" {
		t.Errorf("%s does harm here", at)
	}
}
