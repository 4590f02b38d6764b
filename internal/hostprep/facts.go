package hostprep

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// Facts are what the list of resources depends on. They stay the same while a
// host is prepared.
type Facts struct {
	OS         OS
	Arch       string // as Go names it
	Container  bool   // the host is a container: its clock and kernel are not its own
	AppArmor   bool   // the kernel enforces it, so Docker needs its tools
	TimeDaemon string // installed package that keeps the time, "" for none
	Engine     string // installed package with Docker's engine: "docker.io", "docker-ce" or ""
	Foreign    string // program of an engine that neither of them brought, "" for none
	Compose    bool   // a Compose plugin was put there by hand
	Repository bool   // Docker's apt repository was declared by Salvor

	Programs Programs
	Accounts map[string]Account // by name
}

// An Account is what the preparation needs to know of a user.
type Account struct {
	Home  string
	Group string // the primary one
}

// composePlugins are where Docker's client finds a Compose plugin that no
// package brought. Packages use the directories under /usr/lib*.
const composePlugin = "/usr/local/lib/docker/cli-plugins/docker-compose"

// Keeps says in words what is there already and stays as it is when Salvor takes care of
// an area, "" for nothing.
func (f Facts) Keeps(area fleet.Area) string {
	switch {
	case area == fleet.AreaDocker && f.Engine != "":
		return "keeps " + f.Engine + ", which is installed"
	case area == fleet.AreaDocker && f.Foreign != "":
		return "keeps the engine " + f.Foreign + ", which no package brought"
	case area == fleet.AreaTime && !ownClock(f) && !f.Container:
		return "keeps " + f.TimeDaemon + ", which is installed"
	}
	return ""
}

// foreignEngines are where an engine is that was unpacked by hand, or that a package
// brought which is neither the distribution's nor Docker's.
func foreignEngines() []string {
	return []string{"/usr/local/bin/dockerd", "/snap/docker/current/bin/dockerd", "/usr/bin/dockerd", "/usr/sbin/dockerd"}
}

// Look reads the facts from the host that this program runs on. It changes
// nothing.
func Look(ctx context.Context, m machine.Machine) (Facts, error) {
	h := observe.New(m, observe.Query{Paths: append(foreignEngines(), composePlugin, repositoryFile)})
	release, err := m.ReadFile(ctx, osReleaseFile)
	if err != nil {
		return Facts{}, err
	}
	f := Facts{Arch: runtime.GOARCH}
	if f.OS, err = ParseOSRelease(release); err != nil {
		return Facts{}, err
	}
	container, err := readOptional(ctx, m, "/run/systemd/container")
	if err != nil {
		return Facts{}, err
	}
	f.Container = container != ""
	apparmor, err := readOptional(ctx, m, "/sys/module/apparmor/parameters/enabled")
	if err != nil {
		return Facts{}, err
	}
	f.AppArmor = apparmor == "Y" && !f.Container
	if f.Accounts, err = accounts(ctx, h); err != nil {
		return Facts{}, err
	}
	if err := f.lookAtDocker(ctx, h); err != nil {
		return Facts{}, err
	}
	return f, f.lookAtPrograms(ctx, m)
}

func accounts(ctx context.Context, h *observe.Host) (map[string]Account, error) {
	users, err := h.Users(ctx)
	if err != nil {
		return nil, err
	}
	groups, err := h.Groups(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]Account{}
	for _, u := range users {
		for _, g := range groups {
			if g.GID == u.GID {
				all[u.Name] = Account{Home: u.Home, Group: g.Name}
			}
		}
	}
	return all, nil
}

func (f *Facts) lookAtDocker(ctx context.Context, h *observe.Host) error {
	packages, err := h.Packages(ctx)
	if err != nil && (Prepares(f.OS) || !errors.Is(err, fs.ErrNotExist)) { // another distribution has no dpkg
		return err
	}
	for _, p := range packages {
		if p.Installed() && keepsTime(p) {
			f.TimeDaemon = p.Name
		}
	}
	begun := false // an installation that was interrupted, and is to be finished
	for _, engine := range []string{"docker.io", "docker-ce"} {
		if packages[engine].Installed() {
			f.Engine = engine
		}
		begun = begun || packages[engine].Interrupted()
	}
	if f.Engine == "" && !begun {
		if f.Foreign, err = firstOf(ctx, h, foreignEngines()); err != nil {
			return err
		}
	}
	plugin, err := h.File(ctx, composePlugin)
	if err != nil {
		return err
	}
	repository, err := h.File(ctx, repositoryFile)
	f.Compose, f.Repository = plugin.Exists, repository.Exists
	return err
}

// firstOf returns the first of these paths that is there, "" for none.
func firstOf(ctx context.Context, h *observe.Host, paths []string) (string, error) {
	for _, path := range paths {
		if f, err := h.File(ctx, path); err != nil || f.Exists {
			return path, err
		}
	}
	return "", nil
}

func keepsTime(p observe.Package) bool {
	return slices.Contains(p.Provides, "time-daemon") || slices.Contains([]string{timesyncd, "chrony", "ntp", "ntpsec", "openntpd"}, p.Name)
}

// readOptional returns a file's trimmed content, "" when there is none.
func readOptional(ctx context.Context, m machine.Machine, path string) (string, error) {
	content, err := m.ReadFile(ctx, path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}
