package fleet

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"salvor/internal/secret"
)

// A Mount is a file system that a host has from elsewhere: a share, or a disk.
type Mount struct {
	Name        string    `json:"name"`
	At          string    `json:"at"` // the folder that it covers
	Kind        MountKind `json:"kind"`
	Source      string    `json:"source,omitempty"`      // as mount(8) takes it; of a checked one "" for any
	Options     string    `json:"options,omitempty"`     // in addition to Salvor's
	Credentials string    `json:"credentials,omitempty"` // name of the secret with mount.cifs's credentials file, "" for a guest
}

// MountKind is what is mounted.
type MountKind string

// What can be mounted. A checked mount is made by something else.
const (
	MountNFS     MountKind = "nfs"
	MountSMB     MountKind = "smb"
	MountDisk    MountKind = "uuid"
	MountChecked MountKind = "check"
)

// ByUUID is the device of the file system with that UUID.
func ByUUID(uuid string) string { return "/dev/disk/by-uuid/" + uuid }

// MountAt is where a mount is that does not say so.
func MountAt(name string) string { return path.Join("/mnt", name) }

// Credential refers to the secret with its credentials.
func (m Mount) Credential() secret.Setting { return secret.ParseSetting("secret:" + m.Credentials) }

// String is "nas (/mnt/nas)".
func (m Mount) String() string { return fmt.Sprintf("%s (%s)", m.Name, m.At) }

// Made reports whether Salvor mounts it.
func (m Mount) Made() bool { return m.Kind != MountChecked }

// Has reports whether a folder is on the mount.
func (m Mount) Has(folder string) bool {
	return folder == m.At || strings.HasPrefix(folder, m.At+"/")
}

// MountOf returns the innermost of the mounts that a folder is on.
func MountOf(all []Mount, folder string) (Mount, bool) {
	on := slices.DeleteFunc(slices.Clone(all), func(m Mount) bool { return !m.Has(folder) })
	if len(on) == 0 {
		return Mount{}, false
	}
	return slices.MaxFunc(on, func(a, b Mount) int { return len(a.At) - len(b.At) }), true
}

// hostFolders are the host's own, or Salvor's: nothing is mounted in them or over them.
var hostFolders = []string{
	"/boot", "/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/usr", "/var/lib/docker", "/var/lib/salvor", "/mnt/salvor",
}

// ValidMountPoint reports why nothing can be mounted at a folder, or nil.
func ValidMountPoint(at string) error {
	switch {
	case !path.IsAbs(at) || path.Clean(at) != at || at == "/":
		return fmt.Errorf("%q is not a folder of a host: write its full path, like /mnt/nas", at)
	case strings.ContainsAny(at, " \t\n\\\"'%"):
		return fmt.Errorf("%q has a character that the name of a mount can't have", at)
	}
	for _, own := range hostFolders {
		if at == own || strings.HasPrefix(at, own+"/") || strings.HasPrefix(own, at+"/") {
			return fmt.Errorf("nothing can be mounted at %s: %s belongs to the host, or to Salvor", at, own)
		}
	}
	return nil
}
