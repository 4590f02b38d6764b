package compose

import (
	"encoding/csv"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// beyond refuses what has a service's host run, read or write something outside of
// the service's containers and mounts: Compose does that as root, and what it reads
// is in no commit.
func (l *load) beyond(s types.ServiceConfig) error {
	at := func(keys ...string) string { return l.files.of(append([]string{"services", s.Name}, keys...)...) }
	switch {
	case s.Provider != nil:
		return l.fail(at("provider"), "provider runs a program on the host, outside of any container; give the service an image instead")
	case len(s.Models) > 0:
		return l.fail(at("models"), "models are served by a program on the host, outside of any container; run the model as a service")
	case s.UseAPISocket:
		return l.fail(at("use_api_socket"), "use_api_socket gives the container the host's registry logins; mount "+
			"/var/run/docker.sock if the container is meant to control the host")
	case slices.ContainsFunc(s.VolumesFrom, func(from string) bool { return strings.HasPrefix(from, "container:") }):
		return l.fail(at("volumes_from"), "volumes_from uses the mounts of a container outside of the stack; name a "+
			"service of the stack, or list the volumes")
	}
	if s.Build == nil {
		return nil
	}
	if len(s.Build.SSH) > 0 {
		return l.fail(at("build", "ssh"), "build.ssh gives the host's SSH keys to the build; list a key under "+
			"build.secrets, and let the build read /run/secrets/NAME")
	}
	for key, entries := range map[string]types.StringList{"cache_from": s.Build.CacheFrom, "cache_to": s.Build.CacheTo} {
		for _, entry := range entries {
			if !inRegistry(entry) {
				return l.fail(at("build", key), "%s is not a cache in a registry; builds on a host can use no other kind of cache", entry)
			}
		}
	}
	return nil
}

// noJobs refuses jobs: Compose's containers in addition to services, whose mounts and
// secrets Salvor does not handle.
func (l *load) noJobs() error {
	for name := range l.project.Jobs {
		return l.fail(l.files.of("jobs", name), "jobs are not supported; make %s a service, with a profile if `up` should not start it", name)
	}
	return nil
}

// inRegistry reports whether an entry of cache_from or cache_to is an image, not a
// folder of the host.
func inRegistry(entry string) bool {
	if !strings.Contains(entry, "=") {
		return true
	}
	fields, err := csv.NewReader(strings.NewReader(entry)).Read()
	if err != nil {
		return false
	}
	typed := false
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "src", "dest":
			return false
		case "type":
			if typed = true; !slices.Contains([]string{"registry", "inline"}, strings.TrimSpace(value)) {
				return false
			}
		}
	}
	return typed
}

// namedProfiles are those of seccomp that are not files.
var namedProfiles = []string{"unconfined", "builtin"}

// securityOptions takes the seccomp profiles along that a service names, which
// Compose reads as files.
func (c *collector) securityOptions(s *types.ServiceConfig) error {
	options := slices.Clone(s.SecurityOpt)
	for i, option := range options {
		at := strings.IndexAny(option, "=:")
		if at < 0 || option[:at] != "seccomp" || slices.Contains(namedProfiles, option[at+1:]) {
			continue
		}
		pos := c.load.files.of("services", s.Name, "security_opt")
		repoPath, err := c.load.inside(c.load.Stack.Dir, option[at+1:])
		if err != nil {
			return c.load.fail(pos, "seccomp profile %v", err)
		}
		to, files, err := c.take(repoPath)
		if err != nil || len(files) != 1 {
			return c.load.fail(pos, "seccomp profile %s is not a file in Git; git add %[1]s, or correct the path", repoPath)
		}
		options[i] = "seccomp=" + to
	}
	s.SecurityOpt = options
	return nil
}

// remoteContext matches the build contexts that are not folders: what Compose
// fetches, and other services and images.
var remoteContext = regexp.MustCompile(`^(?:https?://|git://|ssh://|git@|github\.com/|docker-image://|service:|target:)`)

// context returns where a build context is on the host; what is not a folder stays
// as it is.
func (c *collector) context(from string, mayMiss bool) (string, error) {
	if remoteContext.MatchString(from) {
		return from, nil
	}
	repoPath, err := c.load.inside(c.load.Stack.Dir, from)
	if err != nil {
		return "", err
	}
	if _, exists := c.load.stat(repoPath); !exists && !mayMiss {
		return "", fmt.Errorf("%s is not in Git; git add %[1]s, or correct the path", repoPath)
	}
	to, _, err := c.takeAs(repoPath, path.Join(elsewhere, repoPath))
	return to, err
}
