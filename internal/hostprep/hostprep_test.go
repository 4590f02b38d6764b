package hostprep_test

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/converge"
	"salvor/internal/converge/convergetest"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/machine/debiantest"
)

var update = flag.Bool("update", false, "write golden files")

func debian13() hostprep.Facts {
	return hostprep.Facts{OS: hostprep.OS{ID: "debian", Version: "13", Codename: "trixie"}, Arch: "amd64"}
}

// fedora has all that is needed, and no package of Salvor's.
func fedora() hostprep.Facts {
	f := on("fedora", "43", "")
	f.Foreign, f.Programs = "/usr/bin/dockerd", hostprep.Programs{Systemd: true, Compose: "2.40.3", Restic: "0.18.1"}
	return f
}

func rootAlone() map[string]hostprep.Account {
	return map[string]hostprep.Account{"root": {Home: "/root", Group: "root"}}
}

func on(id, version, codename string) hostprep.Facts {
	return hostprep.Facts{OS: hostprep.OS{ID: id, Version: version, Codename: codename}, Arch: "arm64"}
}

func with(f hostprep.Facts, change func(*hostprep.Facts)) hostprep.Facts {
	change(&f)
	return f
}

// The golden files are plans on an empty host with these facts.
func TestResources(t *testing.T) {
	tests := map[string]struct {
		facts hostprep.Facts
		spec  hostprep.Spec
	}{
		"debian-13":            {facts: debian13()},
		"debian-13-container":  {facts: with(debian13(), func(f *hostprep.Facts) { f.Container = true })},
		"debian-13-chrony":     {facts: with(debian13(), func(f *hostprep.Facts) { f.TimeDaemon = "chrony" })},
		"debian-13-apparmor":   {facts: with(debian13(), func(f *hostprep.Facts) { f.AppArmor = true })},
		"debian-13-docker":     {facts: debian13(), spec: hostprep.Spec{Docker: fleet.Docker{Channel: "docker"}}},
		"debian-13-own-docker": {facts: with(debian13(), func(f *hostprep.Facts) { f.Engine = "docker-ce" })},
		"debian-13-set-up":     {facts: debian13(), spec: hostprep.Spec{Docker: setUp()}},
		"debian-13-keys": {facts: with(debian13(), func(f *hostprep.Facts) { f.Accounts = rootAlone() }),
			spec: hostprep.Spec{SSH: hostprep.SSH{User: "root", Keys: []string{"ssh-ed25519 AAAA salvor-fleet"}}}},
		"debian-13-nothing":     {facts: with(debian13(), func(f *hostprep.Facts) { f.AppArmor = true }), spec: hostprep.Spec{Manage: fleet.Areas{}, Docker: setUp()}},
		"debian-13-docker-only": {facts: debian13(), spec: hostprep.Spec{Manage: fleet.Areas{fleet.AreaDocker}}},
		"debian-13-time-only":   {facts: debian13(), spec: hostprep.Spec{Manage: fleet.Areas{fleet.AreaTime}}},
		"debian-13-updates":     {facts: debian13(), spec: hostprep.Spec{Manage: fleet.Areas{fleet.AreaUpdates}}},
		"ubuntu-24.04-updates":  {facts: on("ubuntu", "24.04", "noble"), spec: hostprep.Spec{Manage: fleet.Areas{fleet.AreaUpdates}}},
		"debian-13-foreign":     {facts: with(debian13(), func(f *hostprep.Facts) { f.Foreign = "/usr/local/bin/dockerd" }), spec: hostprep.Spec{Docker: setUp()}},
		"debian-13-mounts": {facts: debian13(), spec: hostprep.Spec{Manage: fleet.Areas{}, Mounts: []fleet.Mount{
			{Name: "nas", At: "/mnt/nas", Kind: fleet.MountNFS, Source: "nas.lan:/media", Options: "ro"}, {Name: "usb", At: "/srv/usb", Kind: fleet.MountDisk, Source: fleet.ByUUID("1234-ABCD")}, {Name: "old", At: "/mnt/old", Kind: fleet.MountChecked},
		}}},
		"debian-13-sqlite":       {facts: debian13(), spec: hostprep.Spec{Manage: fleet.Areas{}, SQLite: true}},
		"debian-12":              {facts: on("debian", "12", "bookworm")},
		"debian-12-mirror":       {facts: on("debian", "12", "bookworm"), spec: hostprep.Spec{Docker: fleet.Docker{URL: "http://mirror.example.net/docker", Key: "a key"}}},
		"debian-12-hand-compose": {facts: with(on("debian", "12", "bookworm"), func(f *hostprep.Facts) { f.Compose = true })},
		"ubuntu-22.04":           {facts: with(on("ubuntu", "22.04", "jammy"), func(f *hostprep.Facts) { f.Programs.Restic = "0.16.4" })},
		"fedora-43":              {facts: fedora()},
		"fedora-43-mounts":       {facts: fedora(), spec: hostprep.Spec{Manage: fleet.EveryArea(), SQLite: true, Mounts: []fleet.Mount{{Name: "nas", At: "/mnt/nas", Kind: fleet.MountNFS, Source: "nas.lan:/media"}}}},
		"ubuntu-24.04":           {facts: on("ubuntu", "24.04", "noble")},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			resources, err := hostprep.Resources(tc.facts, tc.spec)
			if err != nil {
				t.Fatal(err)
			}
			p, err := converge.NewPlan(t.Context(), debiantest.New(), resources)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", name+".golden"), p.String())
		})
	}
}

func compareGolden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestResourcesRefuses(t *testing.T) {
	tests := map[string]struct {
		facts       hostprep.Facts
		docker      fleet.Docker
		want        string
		unsupported bool
	}{
		"another distribution": {facts: on("fedora", "43", ""), want: "fedora 43", unsupported: true},
		"another release":      {facts: on("debian", "11", "bullseye"), want: "debian 11", unsupported: true},
		"no release":           {facts: on("debian", "", "sid"), want: "debian without systemd; Salvor", unsupported: true},
		"nothing there":        {facts: with(on("arch", "", ""), func(f *hostprep.Facts) { f.Programs.Systemd = true }), want: "install there first: Docker, Compose v2, restic 0.14 or newer", unsupported: true},
		"an old restic":        {facts: with(fedora(), func(f *hostprep.Facts) { f.Programs.Restic = "0.12.1" }), want: "install there first: restic 0.14 or newer", unsupported: true},
		"Ubuntu 22.04's restic": {facts: with(on("ubuntu", "22.04", "jammy"), func(f *hostprep.Facts) { f.Programs.Restic = "0.12.1" }),
			want: "restic of ubuntu 22.04 is too old for snapshots, which need 0.14; put restic's own program into /usr/local/bin there", unsupported: true},
		"another processor":  {facts: with(debian13(), func(f *hostprep.Facts) { f.Arch = "riscv64" }), want: "riscv64", unsupported: true},
		"an unknown channel": {facts: debian13(), docker: fleet.Docker{Channel: "snap"}, want: `docker.channel is "snap"`},
		"a distribution without Compose": {
			facts: on("debian", "12", "bookworm"), docker: fleet.Docker{Channel: "distribution"}, want: "debian 12 has no Compose v2",
		},
		"an engine that would be replaced": {
			facts: with(debian13(), func(f *hostprep.Facts) { f.Engine = "docker.io" }), docker: fleet.Docker{Channel: "docker"}, want: "docker.io is installed",
		},
		"a mirror without its key": {facts: on("debian", "12", "bookworm"), docker: fleet.Docker{URL: "http://mirror.example.net"}, want: "docker.key"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := hostprep.Resources(tc.facts, hostprep.Spec{Docker: tc.docker})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if errors.Is(err, hostprep.ErrUnsupported) != tc.unsupported {
				t.Errorf("unsupported: %t, want %t", !tc.unsupported, tc.unsupported)
			}
		})
	}
}

func newHost() *debiantest.Host {
	h := debiantest.New()
	for _, name := range []string{"ca-certificates", "restic", "docker-cli", "docker-compose"} {
		h.Available[name] = debiantest.Package{Version: "1.0"}
	}
	h.Available["docker.io"] = debiantest.Package{Version: "26.1", Unit: "docker.service"}
	h.Available["systemd-timesyncd"] = debiantest.Package{Version: "257", Unit: "systemd-timesyncd.service"}
	h.Available["unattended-upgrades"] = debiantest.Package{Version: "2.12", Unit: "unattended-upgrades.service"}
	h.Put("/etc/group", "root:x:0:\ndocker:x:990:\n", 0o644) // as Docker's package makes it
	h.Put(hostpath.Salvord, "program", 0o755)
	h.Put("/etc/apt/apt.conf.d/01autoremove", "", 0o644)
	for _, unit := range []string{"apt-daily.timer", "apt-daily-upgrade.timer", "systemd-journald.service"} {
		h.Put("/usr/lib/systemd/system/"+unit, "[Unit]\n", 0o644)
		h.Start(unit)
	}
	return h
}

// setUp is Docker with all that can be said of it.
func setUp() fleet.Docker { return fleet.Docker{LiveRestore: true, Users: []string{"root"}} }

// The whole preparation, cut at every call.
func TestPreparationConverges(t *testing.T) {
	resources, err := hostprep.Resources(debian13(), hostprep.Spec{Docker: setUp()})
	if err != nil {
		t.Fatal(err)
	}
	convergetest.Law(t, newHost, resources...)
}

// TestAreasConverge: a host of which nothing is Salvor's, and one of each area, cut at every call.
func TestAreasConverge(t *testing.T) {
	none, err := hostprep.Resources(debian13(), hostprep.Spec{Manage: fleet.Areas{}})
	if err != nil {
		t.Fatal(err)
	}
	convergetest.Law(t, newHost, none...)
	for _, area := range fleet.KnownAreas() {
		taken, err := hostprep.Resources(debian13(), hostprep.Spec{Manage: fleet.Areas{area}})
		if err != nil {
			t.Fatal(err)
		}
		convergetest.Law(t, newHost, taken...)
	}
}

// TestWhatDockerIsAskedDoesNotMatterWithoutTheArea: a channel that does not fit the
// installed engine, and a distribution without Compose, are errors only where Docker is
// Salvor's.
func TestWhatDockerIsAskedDoesNotMatterWithoutTheArea(t *testing.T) {
	spec := hostprep.Spec{Docker: fleet.Docker{Channel: "docker"}, Manage: fleet.Areas{fleet.AreaTime}}
	if _, err := hostprep.Resources(with(debian13(), func(f *hostprep.Facts) { f.Engine = "docker.io" }), spec); err != nil {
		t.Error(err)
	}
	if _, err := hostprep.Resources(with(on("debian", "12", "bookworm"), func(f *hostprep.Facts) { f.Engine = "docker.io" }), hostprep.Spec{Manage: fleet.Areas{}}); err != nil {
		t.Error(err)
	}
}

func TestLook(t *testing.T) {
	tests := map[string]struct {
		host func(*debiantest.Host)
		want func(*hostprep.Facts)
	}{
		"clean":     {func(*debiantest.Host) {}, func(*hostprep.Facts) {}},
		"container": {func(h *debiantest.Host) { h.Put("/run/systemd/container", "docker", 0o644) }, func(f *hostprep.Facts) { f.Container = true }},
		"apparmor": {func(h *debiantest.Host) { h.Put("/sys/module/apparmor/parameters/enabled", "Y\n", 0o444) },
			func(f *hostprep.Facts) { f.AppArmor = true }},
		"chrony and docker.io": {
			func(h *debiantest.Host) {
				h.Put("/var/lib/dpkg/status", "Package: chrony\nStatus: install ok installed\nVersion: 4\nProvides: time-daemon\n\nPackage: docker.io\nStatus: install ok installed\nVersion: 26\n", 0o644)
			},
			func(f *hostprep.Facts) { f.TimeDaemon, f.Engine = "chrony", "docker.io" },
		},
		"an engine by hand": {func(h *debiantest.Host) { h.Put("/usr/local/bin/dockerd", "", 0o755) }, func(f *hostprep.Facts) { f.Foreign = "/usr/local/bin/dockerd" }},
		"an engine whose installation was cut short": {
			func(h *debiantest.Host) {
				h.Put("/var/lib/dpkg/status", "Package: docker.io\nStatus: install ok unpacked\nVersion: 26\n", 0o644)
				h.Put("/usr/sbin/dockerd", "", 0o755)
			},
			func(*hostprep.Facts) {},
		},
		"one that was killed before dpkg's status file had it": {
			func(h *debiantest.Host) {
				h.InterruptDpkg("docker.io")
				h.Put("/usr/sbin/dockerd", "", 0o755)
			},
			func(*hostprep.Facts) {},
		},
		"Compose by hand, Salvor's repository": {
			func(h *debiantest.Host) {
				h.Put("/usr/local/lib/docker/cli-plugins/docker-compose", "", 0o755)
				h.Put("/etc/apt/sources.list.d/salvor-docker.sources", "", 0o644)
			},
			func(f *hostprep.Facts) { f.Compose, f.Repository = true, true },
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			h := debiantest.New()
			tc.host(h)
			got, err := hostprep.Look(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			want := debian13()
			want.Arch, want.Accounts = runtime.GOARCH, rootAlone()
			tc.want(&want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("facts (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseOSRelease(t *testing.T) {
	got, err := hostprep.ParseOSRelease([]byte("# a comment\nPRETTY_NAME=\"Ubuntu 24.04 \\\"x\\\"\"\nID=ubuntu\n\nVERSION_ID=\"24.04\"\nVERSION_CODENAME='noble'\n"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (hostprep.OS{ID: "ubuntu", Version: "24.04", Codename: "noble"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func FuzzParseOSRelease(f *testing.F) {
	f.Add([]byte("ID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n"))
	f.Add([]byte("ID='x\nA=\"\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if os, err := hostprep.ParseOSRelease(content); err == nil && os.ID == "" {
			t.Error("an OS without an ID")
		}
	})
}
