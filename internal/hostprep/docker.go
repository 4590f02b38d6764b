package hostprep

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/resource"
)

// Docker's channels, as fleet.Docker names them.
const (
	channelDistribution = "distribution"
	channelDocker       = "docker"
)

const (
	repositoryName = "salvor-docker"
	repositoryFile = "/etc/apt/sources.list.d/" + repositoryName + ".sources"
	daemonFile     = "/etc/docker/daemon.json"
	dockerUnit     = "docker.service"
)

// An engine is what the area docker is made of. The zero value leaves the host's as it is.
type engine struct {
	before    []converge.Resource // than the packages
	packages  []resource.Package
	unit      string
	restartOn []string
	users     []string // of the group docker, nil leaves it as it is
}

// engineOf returns nothing where Docker is not Salvor's, and where the engine came from
// no package that is known: another one next to it would take its containers' place.
func engineOf(f Facts, s system, spec Spec) (engine, error) {
	if !spec.Manage.Has(fleet.AreaDocker) || f.Foreign != "" {
		return engine{}, nil
	}
	ch, err := channel(f, s, spec.Docker)
	if err != nil {
		return engine{}, err
	}
	e := engine{unit: dockerUnit, packages: dockerPackages(f, s, ch, spec.Docker)}
	if f.AppArmor {
		e.packages = append(packages("apparmor"), e.packages...)
	}
	if ch == channelDocker {
		if e.before, err = dockerRepository(f, spec.Docker); err != nil {
			return engine{}, err
		}
	}
	if configured := daemon(spec.Docker); len(configured) > 0 { // a daemon.json that is the user's alone restarts nothing
		e.before, e.restartOn = append(e.before, configured...), []string{daemonFile}
	}
	e.users = spec.Docker.Users
	return e, nil
}

// units are the engine's, once its packages are installed, with who may use it.
func (e engine) units(install string) []converge.Resource {
	if e.unit == "" {
		return nil
	}
	all := []converge.Resource{resource.Unit{
		Name: e.unit, Boot: resource.Enabled, Run: resource.Running,
		RestartOn: e.restartOn, Needs: []string{install},
	}}
	if e.users != nil {
		all = append(all, resource.Members{Group: "docker", Users: e.users, Needs: []string{install}})
	}
	return all
}

// RestartsDocker returns the change of a plan with which a running engine is restarted, -1
// for none: its unit's own, or that of the unit after another daemon.json.
func RestartsDocker(changes []converge.Change) int {
	written := slices.ContainsFunc(changes, func(c converge.Change) bool { return c.ID == resource.JSONFile{Path: daemonFile}.ID() })
	return slices.IndexFunc(changes, func(c converge.Change) bool {
		return c.ID == unitID(dockerUnit) && (c.Restarts || written)
	})
}

func unitID(name string) string { return resource.Unit{Name: name}.ID() }

// channel decides where Docker comes from. An engine that is installed stays:
// replacing it would stop every container.
func channel(f Facts, s system, d fleet.Docker) (string, error) {
	want := d.Channel
	if want == "" {
		want = s.channel(f)
	}
	switch {
	case want != channelDistribution && want != channelDocker:
		return "", fmt.Errorf("docker.channel is %q: use distribution or docker", want)
	case want == channelDocker && f.Engine == "docker.io", want == channelDistribution && f.Engine == "docker-ce":
		return "", fmt.Errorf("docker.channel is %s, but %s is installed, and replacing it would stop every container; hint: remove %s yourself, or change docker.channel", want, f.Engine, f.Engine)
	case want == channelDistribution && s.compose == "" && !f.Compose:
		return "", fmt.Errorf("%s has no Compose v2; hint: docker.channel: docker, or a Compose plugin at %s", f.OS, composePlugin)
	}
	return want, nil
}

// channel is the choice for docker.channel "": what is installed, else the
// distribution where it has Compose v2.
func (s system) channel(f Facts) string {
	switch {
	case f.Engine == "docker-ce":
		return channelDocker
	case f.Engine == "docker.io", s.compose != "", f.Compose:
		return channelDistribution
	}
	return channelDocker
}

// dockerPackages returns the packages of a channel.
func dockerPackages(f Facts, s system, channel string, d fleet.Docker) []resource.Package {
	if channel == channelDistribution {
		names := s.engine
		if !f.Compose {
			names = append(names[:len(names):len(names)], s.compose)
		}
		return packages(names...)
	}
	names := []string{"docker-ce", "docker-ce-cli", "containerd.io", "docker-compose-plugin"}
	if d.URL == "" { // a mirror may leave it out; Compose builds without it
		names = append(names, "docker-buildx-plugin")
	}
	return packages(names...)
}

// dockerRepository returns the apt repository of the docker channel. An engine
// that came from a repository of the user's keeps that one: apt refuses two
// declarations of one repository with different keys.
func dockerRepository(f Facts, d fleet.Docker) ([]converge.Resource, error) {
	if f.Engine == "docker-ce" && !f.Repository {
		return nil, nil
	}
	r := resource.Repository{Name: repositoryName, URL: d.URL, Suite: f.OS.Codename, Components: "stable", Key: []byte(d.Key)}
	switch {
	case d.URL == "":
		r.URL, r.Key = "https://download.docker.com/linux/"+f.OS.ID, dockerKey
	case d.Key == "":
		return nil, errors.New("docker.url is set without docker.key; hint: docker.key must contain the repository's armored signing key")
	}
	return []converge.Resource{resource.Directory{Path: "/etc/apt/keyrings", Mode: 0o755}, r}, nil
}

// daemon returns Docker's configuration, which belongs to the user: only what was asked for is merged into it, and
// without a wish there is none.
func daemon(d fleet.Docker) []converge.Resource {
	if !d.LiveRestore {
		return nil
	}
	return []converge.Resource{
		resource.Directory{Path: "/etc/docker", Mode: 0o755},
		resource.JSONFile{Path: daemonFile, Keys: map[string]json.RawMessage{"live-restore": json.RawMessage("true")}, Mode: 0o644},
	}
}
