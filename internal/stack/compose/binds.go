package compose

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// A hostPath is a place on a host that a container may see without a question:
// it belongs to the host and holds no data of the stack.
type hostPath struct {
	path     string
	below    bool // and everything below
	readOnly bool // only when mounted read-only
}

var hostPaths = []hostPath{
	{path: "/", readOnly: true},
	{path: "/dev", below: true}, {path: "/proc", below: true}, {path: "/sys", below: true}, {path: "/cgroup", below: true},
	{path: "/run/docker.sock"}, {path: "/run/containerd", below: true}, {path: "/run/podman", below: true},
	{path: "/run/dbus", below: true}, {path: "/run/udev", below: true}, {path: "/run/systemd", below: true},
	{path: "/run/avahi-daemon", below: true}, {path: "/run/user", below: true}, {path: "/run/utmp"},
	{path: "/run/tailscale", below: true}, {path: "/tmp/.X11-unix", below: true},
	{path: "/etc/localtime"}, {path: "/etc/timezone"}, {path: "/usr/share/zoneinfo", below: true},
	{path: "/etc/machine-id", readOnly: true}, {path: "/etc/os-release", readOnly: true}, {path: "/etc/lsb-release", readOnly: true},
	{path: "/etc/hostname", readOnly: true}, {path: "/etc/hosts", readOnly: true}, {path: "/etc/resolv.conf", readOnly: true},
	{path: "/etc/passwd", readOnly: true}, {path: "/etc/group", readOnly: true}, {path: "/etc/ssl/certs", below: true, readOnly: true},
	{path: "/etc/ca-certificates", below: true, readOnly: true}, {path: "/etc/docker", below: true, readOnly: true},
	{path: "/lib/modules", below: true, readOnly: true}, {path: "/boot", below: true, readOnly: true}, {path: "/usr", below: true, readOnly: true},
	{path: "/var/log", below: true, readOnly: true}, {path: "/var/lib/docker", below: true, readOnly: true},
}

// belongsToHost reports whether an absolute source needs no classification.
func belongsToHost(src string, readOnly bool) bool {
	if rest, ok := strings.CutPrefix(src, "/var/run/"); ok {
		src = "/run/" + rest
	}
	for _, h := range hostPaths {
		if (src == h.path || h.below && within(h.path, src)) && (readOnly || !h.readOnly) {
			return true
		}
	}
	return false
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
