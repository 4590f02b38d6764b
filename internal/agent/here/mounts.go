package here

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// ErrAbsent means that something which lives outside of the host, a disk or a share,
// is not mounted: a stack that started now would write into an empty folder.
var ErrAbsent = errors.New("not mounted")

// CheckMounts returns ErrAbsent where an external mount of a stack is not there. Then the
// stack waits: the daemon starts it when everything is mounted.
func (s *Stack) CheckMounts() error {
	absent := s.Absent()
	if len(absent) == 0 {
		err := os.Remove(s.Host.Paths.Waiting(s.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	err := fault.WithHint(fmt.Errorf("external mount %s: %w", strings.Join(absent, ", "), ErrAbsent), mountIt(absent[0]))
	waits := s.Host.Paths.Waiting(s.Name)
	return errors.Join(err, WriteJSON(waits, true))
}

func mountIt(folder string) string {
	return fmt.Sprintf("mount %s on the host: the stack then starts automatically; for a folder on the host's own disk, use protect: none", folder)
}

// AbsentFindings are the external mounts of a stack that are not there.
func (s *Stack) AbsentFindings() []finding.Finding {
	var all []finding.Finding
	for _, folder := range s.Absent() {
		all = append(all, finding.Finding{Code: finding.MountAbsent, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
			Text: "external mount " + folder + " is not mounted: the stack does not start without it", Fix: mountIt(folder)})
	}
	return all
}

// Absent returns the folders that a stack has from elsewhere and that are not there.
func (s *Stack) Absent() []string {
	var folders []string
	for _, v := range s.Volumes {
		if v.Protect == fleet.External && v.Path != "" && !slices.Contains(folders, v.Path) {
			folders = append(folders, v.Path)
		}
	}
	if len(folders) == 0 {
		return nil
	}
	slices.Sort(folders)
	for _, folder := range folders {
		_, _ = os.ReadDir(folder) // has an automounter mount it
	}
	mounts := ReadMounts()
	return slices.DeleteFunc(folders, func(folder string) bool { return !mounts.Absent(folder) })
}

// Mounts are what a host has mounted, and what it says is to be.
type Mounts struct{ mounted, declared []string }

// ReadMounts asks the kernel, fstab and systemd.
func ReadMounts() Mounts { return Mounts{mountPoints(), declaredMounts()} }

// Absent reports whether a folder, as one that is kept outside of the host, is not there.
func (m Mounts) Absent(folder string) bool {
	entries, err := os.ReadDir(folder)
	return errors.Is(err, fs.ErrNotExist) || !isThere(folder, m.mounted, m.declared, err == nil && len(entries) == 0)
}

// Unmounted reports whether a folder is to be on a mount that is not made.
func (m Mounts) Unmounted(folder string) bool {
	return len(deepest(folder, m.declared)) > len(deepest(folder, m.mounted))
}

// ownFolders are where a host has its own files, whatever they are mounted from.
var ownFolders = []string{"/", "/home", "/opt", "/srv", "/usr", "/var", "/var/lib"}

// isThere decides whether a folder is what it is meant to be: a mount point or a
// folder of one. An empty folder of the host's own is a mount point without its
// mount, and so is any that should be mounted and is not.
func isThere(folder string, mounted, declared []string, empty bool) bool {
	nearest := deepest(folder, mounted)
	if nearest == folder {
		return true
	}
	if wanted := deepest(folder, declared); len(wanted) > len(nearest) {
		return false
	}
	return !empty || !slices.Contains(ownFolders, nearest)
}

// deepest returns the longest of the folders that is p or above it, "" for none.
func deepest(p string, folders []string) string {
	best := ""
	for _, f := range folders {
		if above := f == p || f == "/" || strings.HasPrefix(p, f+"/"); above && len(f) > len(best) {
			best = f
		}
	}
	return best
}

// mountPoints asks the kernel. A mount that an automounter has yet to make is none.
func mountPoints() []string {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil // nothing is known to be mounted
	}
	return parseMountinfo(string(content))
}

func parseMountinfo(content string) []string {
	var points []string
	for line := range strings.Lines(content) {
		about, kind, _ := strings.Cut(line, " - ")
		fields := strings.Fields(about)
		if len(fields) > 4 && !strings.HasPrefix(kind, "autofs ") {
			points = append(points, unescaped(fields[4]))
		}
	}
	return points
}

// unescaped undoes how mountinfo and fstab write spaces.
func unescaped(p string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(p)
}

// declaredMounts returns the mount points that fstab and systemd's units name.
func declaredMounts() []string {
	content, err := os.ReadFile("/etc/fstab")
	points := []string{}
	if err == nil {
		points = parseFstab(string(content))
	}
	units, err := filepath.Glob("/etc/systemd/system/*.mount")
	if err != nil {
		return points // the pattern is ours and valid
	}
	for _, unit := range units {
		if content, err := os.ReadFile(unit); err == nil {
			points = append(points, parseUnit(string(content))...)
		}
	}
	return points
}

func parseFstab(content string) []string {
	var points []string
	for line := range strings.Lines(content) {
		fields := strings.Fields(line)
		if len(fields) > 2 && !strings.HasPrefix(fields[0], "#") && path.IsAbs(fields[1]) && fields[1] != "/" {
			points = append(points, path.Clean(unescaped(fields[1])))
		}
	}
	return points
}

func parseUnit(content string) []string {
	for line := range strings.Lines(content) {
		if where, ok := strings.CutPrefix(strings.TrimSpace(line), "Where="); ok {
			return []string{path.Clean(where)}
		}
	}
	return nil
}
