package compose

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/project"
)

// A hostPath is a place on a host that a container may see without a question:
// it belongs to the host and holds no data of the stack.
type hostPath struct {
	path     string
	below    bool // and everything below
	readOnly bool // only when mounted read-only
}

// What is lost at every boot, what the system's own packages and daemons keep there,
// and what a container is given to see of the host. Folders where people put data
// (/srv, /mnt, /opt, /home, /usr/local) are not here.
var hostPaths = []hostPath{
	{path: "/"},
	{path: "/dev", below: true}, {path: "/proc", below: true}, {path: "/sys", below: true}, {path: "/cgroup", below: true},
	{path: "/run", below: true}, {path: "/tmp", below: true}, {path: "/var/tmp", below: true}, {path: "/var/lock", below: true},
	{path: "/bin", below: true}, {path: "/sbin", below: true}, {path: "/lib", below: true}, {path: "/lib32", below: true}, {path: "/lib64", below: true},
	{path: "/usr/bin", below: true}, {path: "/usr/sbin", below: true}, {path: "/usr/lib", below: true}, {path: "/usr/lib64", below: true},
	{path: "/usr/libexec", below: true}, {path: "/usr/include", below: true}, {path: "/usr/src", below: true},
	{path: "/usr/share/zoneinfo", below: true}, {path: "/usr/share/fonts", below: true}, {path: "/usr/share/icons", below: true},
	{path: "/usr/share/ca-certificates", below: true}, {path: "/usr/share/X11", below: true}, {path: "/usr/share/alsa", below: true},
	{path: "/usr/share/glvnd", below: true}, {path: "/usr/share/vulkan", below: true}, // people keep data in others: /usr/share/appdata
	{path: "/usr", below: true, readOnly: true}, {path: "/boot", below: true, readOnly: true}, {path: "/opt/vc", below: true},
	{path: "/etc", readOnly: true}, {path: "/etc/localtime"}, {path: "/etc/timezone"}, {path: "/etc/TZ"}, {path: "/etc/machine-id"},
	{path: "/etc/os-release"}, {path: "/etc/lsb-release"}, {path: "/etc/debian_version"}, {path: "/etc/hostname"}, {path: "/etc/hosts"},
	{path: "/etc/resolv.conf"}, {path: "/etc/nsswitch.conf"}, {path: "/etc/passwd"}, {path: "/etc/group"}, {path: "/etc/shadow", readOnly: true},
	{path: "/etc/subuid"}, {path: "/etc/subgid"}, {path: "/etc/sudoers", readOnly: true}, {path: "/etc/fstab", readOnly: true},
	{path: "/etc/asound.conf"}, {path: "/etc/alsa", below: true}, {path: "/etc/udev", below: true}, {path: "/etc/systemd", below: true},
	{path: "/etc/selinux", below: true}, {path: "/etc/apparmor.d", below: true}, {path: "/etc/ssl", below: true, readOnly: true},
	{path: "/etc/pki", below: true, readOnly: true}, {path: "/etc/ca-certificates", below: true, readOnly: true},
	{path: "/etc/ssh", below: true, readOnly: true}, {path: "/etc/apt", below: true, readOnly: true}, {path: "/etc/docker", below: true, readOnly: true},
	{path: "/etc/OpenCL", below: true}, {path: "/etc/vulkan", below: true},
	{path: "/var/log", below: true}, {path: "/var/lib/dbus", below: true}, {path: "/var/lib/systemd", below: true},
	{path: "/var/lib/dpkg", below: true}, {path: "/var/lib/apt", below: true}, {path: "/var/cache/apt", below: true},
	{path: "/var/lib/docker"}, {path: "/var/lib/docker/volumes"}, {path: "/var/lib/docker/containers", below: true},
	{path: "/var/lib/docker", below: true, readOnly: true}, {path: "/var/lib/containerd", below: true, readOnly: true},
	{path: "/root/.docker/config.json"}, {path: "/root/.Xauthority"},
}

// belongsToHost returns the length of the longest known path of the host that a source
// is, 0 for none.
func belongsToHost(src string, readOnly bool) int {
	linked := 0 // /var/run is /run
	if fleet.Within("/var/run", src) {
		linked, src = len("/var"), strings.TrimPrefix(src, "/var")
	}
	longest := 0
	for _, h := range hostPaths {
		if (src == h.path || h.below && fleet.Within(h.path, src)) && (readOnly || !h.readOnly) {
			longest = max(longest, len(h.path)+linked)
		}
	}
	return longest
}

// said returns what is said of a folder of the host: by x-salvor, else by the longest
// folder of fleet.yaml; a path that every host has belongs to it unless fleet.yaml names
// a folder in it. "" means: ask.
func (c classifier) said(m *mount) fleet.Protection {
	if m.policy.Protect != "" {
		return m.policy.Protect
	}
	bind, declared := c.load.Binds.Of(m.entry.Source)
	if own := belongsToHost(m.entry.Source, m.entry.ReadOnly); own > 0 && (!declared || own > len(bind.Folder)) {
		return fleet.HostPath
	}
	return bind.Protect
}

func (c classifier) decideHostPath(ms *mounts, m *mount) {
	src := m.entry.Source
	switch said := c.said(m); {
	case said == "":
		m.asked = true
	case said == fleet.HostPath && !m.named:
		m.protect, m.source = fleet.HostPath, src
	default:
		root := c.rootOf(ms, m, said)
		at := root.entry.Source
		c.keep(ms, m, project.Volume{Name: bindName(at), Source: at, Path: at, Protect: said, Formerly: formerName(root.policy)})
		m.source = path.Join(m.volume.Path, strings.TrimPrefix(src, at))
	}
}

// rootOf returns the mount whose volume a folder of the host is part of: the outermost
// that it is in and that is protected alike, so that /srv/media and /srv/media/films are
// one tree. One that x-salvor names is a volume of its own.
func (c classifier) rootOf(ms *mounts, m *mount, said fleet.Protection) *mount {
	root := m
	for _, outer := range ms.all {
		if !m.named && outer.isHostPath() && len(outer.entry.Source) < len(root.entry.Source) &&
			fleet.Within(outer.entry.Source, m.entry.Source) && c.said(outer) == said {
			root = outer
		}
	}
	return root
}

// fromGit reports whether a path comes from the commit. A folder that holds
// only a placeholder (.gitkeep, .gitignore) is a data folder kept in Git.
func (c classifier) fromGit(repoPath string) bool {
	info, ok := c.load.stat(repoPath)
	if !ok || !info.IsDir() {
		return ok
	}
	entries, err := os.ReadDir(filepath.Join(c.load.RepoDir, filepath.FromSlash(repoPath)))
	if err != nil {
		return false
	}
	for _, e := range entries {
		if e.Name() != ".gitkeep" && e.Name() != ".gitignore" && e.Name() != ".keep" {
			return true
		}
	}
	return false
}

// bindName is the identity of a bind: path-safe, and unlike any volume's name,
// so that a volume added later can't take its place.
func bindName(src string) string { return "@" + strings.ReplaceAll(src, "/", "@") }

// written is a relative source as people write it.
func written(src string) string {
	if path.IsAbs(src) || strings.HasPrefix(src, "..") || src == "." {
		return src
	}
	return "./" + src
}

func within(dir, p string) bool {
	return p == dir || dir == "." && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../") || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
