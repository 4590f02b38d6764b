package hostprep

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"

	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/resource"
)

// ErrUnsupported is wrapped by errors that mean: this is not a distribution or
// processor that Salvor can prepare.
var ErrUnsupported = errors.New("host is not supported")

const timesyncd = "systemd-timesyncd"

// dockerKey signs Docker's apt repositories:
// 9DC8 5822 9FC7 DD38 854A E2D8 8D81 803C 0EBF CD88.
//
//go:embed docker.asc
var dockerKey []byte

//go:embed salvord.service
var service []byte

//go:embed salvord-mount@.service
var mountService []byte

//go:embed tmpfiles.conf
var tmpfiles []byte

// A Spec is what the fleet says about a host's preparation.
type Spec struct {
	Manage  fleet.Areas
	Docker  fleet.Docker
	SSH     SSH
	Signers []byte // the content of hostpath.Layout.Signers; nil leaves what is there
	Mounts  []fleet.Mount
	SQLite  bool // a volume of the host has databases that SQLite copies
}

// SSH has the keys with which one may log in to the host as a user.
type SSH struct {
	User string
	Keys []string // lines of authorized_keys
}

// A system is what a distribution has to offer.
type system struct {
	os      string
	engine  []string // packages with Docker's engine and client
	compose string   // package with Compose v2, "" where there is none
	restic  string   // oldest version that its package brings, "" where that is too old
	alone   bool     // its packages are left alone
}

// systems are the supported distributions. Repositories of snapshots have
// format 2, which restic knows since 0.14; Ubuntu 22.04 has 0.12.
func systems() []system {
	return []system{
		{os: "debian 12", engine: []string{"docker.io"}, restic: "0.14"},
		{os: "debian 13", engine: []string{"docker.io", "docker-cli"}, compose: "docker-compose", restic: "0.14"},
		{os: "ubuntu 22.04", engine: []string{"docker.io"}, compose: "docker-compose-v2"},
		{os: "ubuntu 24.04", engine: []string{"docker.io"}, compose: "docker-compose-v2", restic: "0.14"},
	}
}

func supported(f Facts) (system, error) {
	if f.Arch != "amd64" && f.Arch != "arm64" {
		return system{}, fmt.Errorf("%w: processor %s; Salvor runs on amd64 and arm64", ErrUnsupported, f.Arch)
	}
	if s, known := f.OS.system(); known {
		return s, resticByHand(f, s)
	}
	return elsewhere(f)
}

// Resources returns what a host with these facts needs: what is Salvor's own, and what
// belongs to the areas of spec. It is a pure function; what the host can't fulfil is an
// error.
func Resources(f Facts, spec Spec) ([]converge.Resource, error) {
	s, err := supported(f)
	if err != nil {
		return nil, err
	}
	e, err := engineOf(f, s, spec)
	if err != nil {
		return nil, err
	}
	if s.alone {
		return leftAlone(f, spec, e.unit)
	}
	keepsTime := spec.Manage.Has(fleet.AreaTime) && ownClock(f)
	list := append(dataPackages(s), mountPackages(spec.Mounts)...)
	if spec.SQLite {
		list = append(list, packages(SQLite)...)
	}
	if keepsTime {
		list = append(list, packages(timesyncd)...)
	}
	install := resource.Packages{
		Name: "host",
		List: append(list, e.packages...),
		// Docker's configuration comes first, so that the engine starts with it.
		After: []string{"repository " + repositoryName, "file " + daemonFile},
	}
	all := slices.Concat(e.before, []converge.Resource{install}, e.units(install.ID()))
	if keepsTime {
		all = append(all, resource.Unit{Name: timesyncd + ".service", Boot: resource.Enabled, Run: resource.Running, Needs: []string{install.ID()}})
	}
	if spec.Manage.Has(fleet.AreaUpdates) {
		all = append(all, updates(f, install.ID())...)
	}
	keys, err := authorizedKeys(f, spec.SSH)
	return slices.Concat(all, keys, salvord(e.unit), signers(spec.Signers), mounts(spec.Mounts, install.ID())), err
}

// leftAlone is Resources of a distribution on which Salvor installs nothing.
func leftAlone(f Facts, spec Spec, engine string) ([]converge.Resource, error) {
	for _, area := range spec.Manage.Listed() {
		if !slices.Contains(fleet.EveryArea(), area) { // of those, what is there stays as it is
			return nil, fmt.Errorf("%w: Salvor takes care of %s on Debian and Ubuntu only; take it out of manage: of this host, which has %s", ErrUnsupported, area, f.OS)
		}
	}
	keys, err := authorizedKeys(f, spec.SSH)
	return slices.Concat(keys, salvord(engine), signers(spec.Signers), mounts(spec.Mounts, "")), err
}

func signers(content []byte) []converge.Resource {
	if content == nil {
		return nil
	}
	return []converge.Resource{resource.File{Path: hostpath.Default().Signers(), Content: content, Mode: 0o600}}
}

// authorizedKeys adds keys to those that the user has. What others wrote there stays.
func authorizedKeys(f Facts, l SSH) ([]converge.Resource, error) {
	if l.User == "" {
		return nil, nil
	}
	account, known := f.Accounts[l.User]
	if !known {
		return nil, fmt.Errorf("the host has no user %s, which fleet.yaml names for it", l.User)
	}
	folder := path.Join(account.Home, ".ssh")
	return []converge.Resource{
		resource.Directory{Path: folder, Mode: 0o700, Owner: l.User, Group: account.Group},
		resource.Block{Path: path.Join(folder, "authorized_keys"), Name: "salvor", Cause: "accept the fleet's keys", Lines: l.Keys, Mode: 0o600, Owner: l.User, Group: account.Group},
	}, nil
}

// ForRestore returns what data can be restored with, a part of Resources: a recovery
// makes it right first, so that data comes down while Docker is installed.
func ForRestore(f Facts) ([]converge.Resource, error) {
	s, err := supported(f)
	if err != nil {
		return nil, err
	}
	if s.alone {
		return directories(), nil
	}
	return append(directories(), resource.Packages{Name: "data", List: dataPackages(s)}), nil
}

// Restic is the package that snapshots are taken and restored with.
const Restic = "restic"

// SQLite is the package with the program that copies databases of SQLite.
const SQLite = "sqlite3"

// OwnPackages are the packages that Salvor's own work needs, and no stack.
func OwnPackages() []string { return []string{Restic, SQLite} }

// dataPackages bring data back.
func dataPackages(s system) []resource.Package {
	list := packages("ca-certificates")
	if s.restic != "" {
		list = append(list, resource.Package{Name: Restic, Min: s.restic})
	}
	return list
}

func packages(names ...string) []resource.Package {
	var list []resource.Package
	for _, name := range names {
		list = append(list, resource.Package{Name: name})
	}
	return list
}

// ownClock reports whether Salvor keeps the time: not in a container, whose clock is
// its machine's, and not in addition to another time daemon.
func ownClock(f Facts) bool {
	return !f.Container && (f.TimeDaemon == "" || f.TimeDaemon == timesyncd)
}

// MountUnit is the unit that mounts the shared volumes of one stack, by its name. It is
// started for each of them, and never at boot.
const MountUnit = "salvord-mount@.service"

// salvord are Salvor's own directories and its service, which comes after the engine's
// unit; "" for none.
func salvord(engine string) []converge.Resource {
	const unit = "salvord.service"
	needs := []string{"directory /var/lib/salvor/journal", "directory /run/salvor/secrets", "file /etc/systemd/system/" + MountUnit}
	if engine != "" {
		needs = append(needs, unitID(engine))
	}
	return append(directories(),
		resource.File{Path: "/etc/systemd/system/" + unit, Content: service, Mode: 0o644},
		resource.File{Path: "/etc/systemd/system/" + MountUnit, Content: mountService, Mode: 0o644},
		resource.Unit{
			Name: unit, Boot: resource.Enabled, Run: resource.Running, RestartOn: []string{hostpath.Salvord},
			Needs: needs,
		},
	)
}

// directories are closed to the host's other users. A container may leave a
// program there that is set-uid root, a device node, or a file that everyone may
// read; it can be reached through what is bound into containers, which Docker
// resolves as root. Docker keeps its own volumes so, too (CVE-2021-41091).
func directories() []converge.Resource {
	all := []converge.Resource{resource.File{Path: "/etc/tmpfiles.d/salvor.conf", Content: tmpfiles, Mode: 0o644}}
	at := hostpath.Default()
	for _, path := range []string{
		at.Config, at.State, at.Projects(), at.VolumesFolder(), at.Journal(), at.Shared, at.Run, at.Gates(), string(at.Secrets()),
	} {
		all = append(all, resource.Directory{Path: path, Mode: 0o700})
	}
	return all
}
