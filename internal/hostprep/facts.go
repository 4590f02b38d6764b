package hostprep

import (
	"context"
	"errors"
	"io/fs"
	"runtime"
	"slices"
	"strings"

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
	Compose    bool   // a Compose plugin was put there by hand
	Repository bool   // Docker's apt repository was declared by Salvor

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

// Look reads the facts from the host that this program runs on. It changes
// nothing.
func Look(ctx context.Context, m machine.Machine) (Facts, error) {
	h := observe.New(m, observe.Query{Paths: []string{composePlugin, repositoryFile}})
	release, err := m.ReadFile(ctx, "/etc/os-release")
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
	return f, f.lookAtDocker(ctx, h)
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
	if err != nil {
		return err
	}
	for _, p := range packages {
		if p.Installed() && keepsTime(p) {
			f.TimeDaemon = p.Name
		}
	}
	for _, engine := range []string{"docker.io", "docker-ce"} {
		if packages[engine].Installed() {
			f.Engine = engine
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
