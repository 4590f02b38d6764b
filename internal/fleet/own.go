package fleet

import (
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"
)

// ownPrefix begins the name under which a host's own data is kept. It has a dot, which no
// stack's name has.
const ownPrefix = "host."

// OwnProjectPrefix begins the names of the Compose projects that Salvor makes for hosts. No
// stack has such a name.
const OwnProjectPrefix = "salvor-"

// Own is the name of a host's own data, "host.alpha": of its snapshots, its seal and its
// place on targets. It stands where else a stack's name does.
func Own(host string) string { return ownPrefix + host }

// OwnerOf returns the host whose own data a name is of.
func OwnerOf(name string) (host string, own bool) {
	host, own = strings.CutPrefix(name, ownPrefix)
	return host, own && ValidHost(host) == nil
}

// ValidKept reports why name can't name what snapshots are taken of, a stack or a host's
// own data, or nil.
func ValidKept(name string) error {
	if _, own := OwnerOf(name); own {
		return nil
	}
	return ValidName(name)
}

// HasOwn reports whether a host needs a seal of its own under lock: for folders that snapshots
// keep, for the credentials of a mount, for the token with which it reads the repository, or
// for the one with which it publishes routes.
func (f *Fleet) HasOwn(lock Lock, h Host) bool {
	credentials := func(m Mount) bool { return m.Credentials != "" }
	return len(h.Protect) > 0 || !h.ReadToken.IsZero() || slices.ContainsFunc(h.Mounts, credentials) || f.Publishes(lock, h.Name)
}

// Sealed returns what has a seal: every placed stack, and what hosts have of their own.
func (l *Lock) Sealed() iter.Seq2[string, Placement] {
	return func(yield func(string, Placement) bool) {
		for _, name := range slices.Sorted(maps.Keys(l.Stacks)) {
			if !yield(name, l.Stacks[name]) {
				return
			}
		}
		for _, host := range slices.Sorted(maps.Keys(l.Hosts)) {
			if !yield(Own(host), l.Hosts[host]) {
				return
			}
		}
	}
}

// neverProtected are folders whose content is the kernel's, Docker's or Salvor's, or is made
// again.
var neverProtected = []string{"/dev", "/proc", "/run", "/sys", "/tmp", "/var/lib/docker", "/var/lib/containerd", "/var/lib/salvor", "/etc/salvor", "/mnt/salvor"}

// ValidProtected reports why snapshots can't keep a folder of a host, or nil.
func ValidProtected(folder string) error {
	if !path.IsAbs(folder) || path.Clean(folder) != folder || strings.ContainsAny(folder, "\x00\n@") {
		return fmt.Errorf("%q is not a folder of a host: write its full path, like /etc/wireguard", folder)
	}
	for _, never := range neverProtected {
		if folder == never || strings.HasPrefix(folder, never+"/") {
			return fmt.Errorf("%s can't be protected: %s is the kernel's, Docker's or Salvor's own", folder, never)
		}
		if folder == "/" || strings.HasPrefix(never, folder+"/") {
			return fmt.Errorf("%s can't be protected: %s is in it; name the folders below that you need", folder, never)
		}
	}
	return nil
}
