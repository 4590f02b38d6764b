package hostprep

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// oldestRestic is the first that knows repositories of format 2.
const oldestRestic = "0.14"

// ResticWorks reports whether snapshots can be taken with a version of restic, "" for none.
func ResticWorks(version string) bool {
	return version != "" && observe.CompareVersions(version, oldestRestic) >= 0
}

// Prepares reports whether Salvor installs packages on a distribution. On another one with
// systemd they are its user's; whether all works there is not proven.
func Prepares(o OS) bool {
	_, known := o.system()
	return known
}

// PreparesHost reports whether Salvor installs packages on the host that this program runs on: not where that can't be
// read, of which an apply says why.
func PreparesHost(ctx context.Context, m machine.Machine) bool {
	release, err := m.ReadFile(ctx, osReleaseFile)
	if err != nil {
		return false
	}
	o, err := ParseOSRelease(release)
	return err == nil && Prepares(o)
}

// BringsRestic reports whether a distribution's own restic is new enough.
func BringsRestic(o OS) bool {
	s, known := o.system()
	return known && s.restic != ""
}

func (o OS) system() (system, bool) {
	i := slices.IndexFunc(systems(), func(s system) bool { return s.os == o.String() })
	if i < 0 {
		return system{}, false
	}
	return systems()[i], true
}

// Programs are those that no package of Salvor's brings: looked at only where that counts.
type Programs struct {
	Systemd bool
	Compose string // version of Docker's plugin, "" for none
	Restic  string // version, "" for none
}

// lookAtPrograms asks them for their versions, where the distribution does not bring all
// that is needed.
func (f *Facts) lookAtPrograms(ctx context.Context, m machine.Machine) error {
	if BringsRestic(f.OS) {
		return nil
	}
	first, err := readOptional(ctx, m, "/proc/1/comm")
	if err != nil {
		return err
	}
	f.Programs = Programs{Systemd: first == "systemd", Compose: says(ctx, m, "docker", "compose", "version", "--short"), Restic: says(ctx, m, "restic", "version")}
	if words := strings.Fields(f.Programs.Restic); len(words) > 1 {
		f.Programs.Restic = words[1] // "restic 0.16.4 compiled with …"
	}
	return nil
}

// says is the line that a program prints, "" for one that is not there.
func says(ctx context.Context, m machine.Machine, argv ...string) string {
	out, err := m.Run(ctx, machine.Command(argv...))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out.Stdout)), "\n")
	return line
}

// elsewhere is what a distribution offers on which Salvor installs nothing: all that is
// needed has to be there.
func elsewhere(f Facts) (system, error) {
	var lacks []string
	if f.Engine == "" && f.Foreign == "" {
		lacks = append(lacks, "Docker")
	}
	if f.Programs.Compose == "" && !f.Compose {
		lacks = append(lacks, "Compose v2")
	}
	if !ResticWorks(f.Programs.Restic) {
		lacks = append(lacks, "restic "+oldestRestic+" or newer")
	}
	switch {
	case !f.Programs.Systemd:
		return system{}, fmt.Errorf("%w: %s without systemd; Salvor prepares Debian 12 and 13, Ubuntu 22.04 and 24.04", ErrUnsupported, f.OS)
	case len(lacks) > 0:
		return system{}, fmt.Errorf("%w: %s; Salvor prepares Debian 12 and 13, Ubuntu 22.04 and 24.04. On another Linux with systemd, install there first: %s",
			ErrUnsupported, f.OS, strings.Join(lacks, ", "))
	}
	return system{os: f.OS.String(), alone: true}, nil
}

// resticByHand refuses a host whose distribution has a restic that is too old, and that has no
// other one.
func resticByHand(f Facts, s system) error {
	if s.restic != "" || s.alone || ResticWorks(f.Programs.Restic) {
		return nil
	}
	return fmt.Errorf("%w: restic of %s is too old for snapshots, which need %s; put restic's own program into /usr/local/bin there: https://github.com/restic/restic/releases",
		ErrUnsupported, f.OS, oldestRestic)
}
