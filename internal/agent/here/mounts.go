package here

import (
	"context"
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
	"salvor/internal/project"
	"salvor/internal/resource"
)

// ErrAbsent means that something which lives outside of the host, a disk or a share,
// is not mounted: a stack that started now would write into an empty folder.
var ErrAbsent = errors.New("not mounted")

// CheckPresent returns ErrAbsent where a mount that a stack needs is not there, and
// ErrNoTailnet where its host is not in the tailnet. Then the stack waits: the daemon starts
// it when everything is there.
func (s *Stack) CheckPresent(ctx context.Context) error {
	lacks := s.Lacks(ctx)
	if lacks == nil {
		err := os.Remove(s.Host.Paths.Waiting(s.Name))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	return errors.Join(lacks, WriteJSON(s.Host.Paths.Waiting(s.Name), true))
}

// Lacks returns what CheckPresent does, and notes nothing.
func (s *Stack) Lacks(ctx context.Context) error {
	if absent := s.Absent(); len(absent) > 0 {
		return s.absence(absent)
	}
	return s.CheckTailnet(ctx)
}

// CheckSources returns ErrAbsent where a volume that snapshots keep is on a mount that is
// not there: what is in its place is not the volume's data.
func (s *Stack) CheckSources() error {
	if absent := s.absent(func(v project.Volume) bool { return v.Protect == fleet.Snapshot }); len(absent) > 0 {
		return s.absence(absent)
	}
	return nil
}

func (s *Stack) absence(absent []Absence) error {
	var names []string
	for _, a := range absent {
		names = append(names, a.String())
	}
	return fault.WithHint(fmt.Errorf("external mount %s: %w", strings.Join(names, ", "), ErrAbsent), absent[0].fix(s.Spec.Name))
}

// An Absence is a mount that is not there: one that fleet.yaml declares, or the folder of an
// external volume.
type Absence struct {
	Mount  fleet.Mount // the zero one where none is declared
	Folder string
}

// String is "nas (/mnt/nas)", or the folder.
func (a Absence) String() string {
	if a.Mount.Name == "" {
		return a.Folder
	}
	return a.Mount.String()
}

func (a Absence) fix(host string) string {
	switch {
	case a.Mount.Name == "":
		return fmt.Sprintf("mount %s on the host: the stack then starts automatically; for a folder on the host's own disk, use protect: none", a.Folder)
	case a.Mount.Made():
		return fmt.Sprintf("systemctl status %s on %s shows why; Salvor mounts it once that is possible", resource.MountUnit(a.Mount.At), host)
	}
	return fmt.Sprintf("mount %s on %s: what waits for it then starts automatically", a.Mount.At, host)
}

// AbsentFindings are the mounts that a stack needs and that are not there. running says
// that the stack runs.
func (s *Stack) AbsentFindings(running bool) []finding.Finding {
	effect := "the stack does not start without it"
	if running {
		effect = "the running stack reads and writes what is in its place; restart it once the mount is there"
	}
	var all []finding.Finding
	for _, a := range s.Absent() {
		if a.Mount.Name != "" && unmade(s.Host, a.Mount) {
			continue // the plan says that it is made
		}
		all = append(all, finding.Finding{Code: finding.MountAbsent, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
			Text: "external mount " + a.String() + " is not mounted: " + effect, Fix: a.fix(s.Spec.Name)})
	}
	return all
}

// Absent returns what a stack needs from elsewhere and is not there.
func (s *Stack) Absent() []Absence { return s.absent(func(project.Volume) bool { return true }) }

// absent looks at some of the stack's volumes. One on a mount that fleet.yaml declares needs
// just that mount; of others, those that are external need their folder.
func (s *Stack) absent(which func(project.Volume) bool) []Absence {
	var needed []Absence
	for _, v := range s.Volumes {
		m, declared := fleet.MountOf(s.Spec.Mounts, v.Path)
		switch {
		case v.Path == "" || !which(v):
		case declared:
			needed = append(needed, Absence{m, m.At})
		case v.Protect == fleet.External:
			needed = append(needed, Absence{Folder: v.Path})
		}
	}
	slices.SortFunc(needed, func(a, b Absence) int { return strings.Compare(a.Folder, b.Folder) })
	needed = slices.Compact(needed)
	if len(needed) == 0 {
		return nil
	}
	for _, a := range needed {
		_, _ = os.ReadDir(a.Folder) // has an automounter mount it
	}
	mounts := ReadMounts()
	return slices.DeleteFunc(needed, func(a Absence) bool {
		if a.Mount.Name != "" {
			return mounts.Has(a.Mount)
		}
		return !mounts.Absent(a.Folder)
	})
}

// Mounts are what a host has mounted, and what it says is to be.
type Mounts struct {
	mounted, declared []string
	sources           map[string]string // by mount point, of the topmost mount
}

// ReadMounts asks the kernel, fstab and systemd.
func ReadMounts() Mounts {
	points, sources := mountPoints()
	return Mounts{points, declaredMounts(), sources}
}

// Has reports whether a declared mount is there: its folder is a mount point, and of the
// source that a checked one names. That the folder exists proves nothing.
func (m Mounts) Has(declared fleet.Mount) bool {
	source, mounted := m.sources[declared.At]
	return mounted && (declared.Made() || declared.Source == "" || declared.Source == source)
}

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
func mountPoints() (points []string, sources map[string]string) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, nil // nothing is known to be mounted
	}
	return parseMountinfo(string(content))
}

func parseMountinfo(content string) (points []string, sources map[string]string) {
	sources = map[string]string{}
	for line := range strings.Lines(content) {
		about, of, _ := strings.Cut(line, " - ")
		fields, what := strings.Fields(about), strings.Fields(of)
		if len(fields) > 4 && len(what) > 1 && what[0] != "autofs" {
			at := unescaped(fields[4])
			points, sources[at] = append(points, at), unescaped(what[1])
		}
	}
	return points, sources
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
