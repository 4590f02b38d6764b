package controlrepo

import (
	"fmt"
	pathpkg "path"
	"regexp"
	"strings"
	"time"

	"salvor/internal/fleet"
)

// Limits of a pause if x-salvor does not set them.
const (
	defaultPauseLimit = 5 * time.Second
	defaultPauseEvery = time.Hour
)

var (
	onChangePattern = regexp.MustCompile(`^(none|restart|recreate|signal(:[A-Z][A-Z0-9+-]{1,9})?)$`)
	servicePattern  = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
)

// stackShape is the one definition of x-salvor: it decodes, and
// docs/reference/x-salvor.schema.json is made from it.
func stackShape() shape[fleet.Stack] {
	return object(
		key("host", "The host that should run this stack. The placement itself is in salvor.lock.", name(), func(s *fleet.Stack, v string) { s.Host = v }),
		key("rpo", "How much work may be lost at most; status and drills compare with it.", duration(), func(s *fleet.Stack, v time.Duration) { s.RPO = v }),
		key("dir", "The project directory of an adopted stack on its host.", text(checkProjectDir), func(s *fleet.Stack, v string) { s.ProjectDir = v }),
		key("needs", "Stacks that must run before this one.", list(name()), func(s *fleet.Stack, v []string) { s.Needs = v }),
		key("volumes", "How each volume's data survives the loss of its host: a named volume by its name, a bind mount by its path.", named(volumeNames(), volumeShape()), setVolumes),
		key("on_change", "How a running service is notified when one of its secrets changes, by service: none (default), "+
			"signal[:NAME], restart or recreate.", named(serviceNames(), matching(onChangePattern, "one of none, signal, signal:NAME, restart, recreate")), setOnChange),
		key("on_rotate", "A command to run in a service when one of its secrets changed, by service: for example, to "+
			"change the password inside a database. It runs with the new value in place, before the service is notified.", named(serviceNames(), list(plain())), setOnRotate),
		key("formerly", "The former name of this stack: it keeps everything, and keeps that name on hosts and remotes.", name(), func(s *fleet.Stack, v string) { s.Formerly = v }),
		key("pause", "Limits for snapshots that pause the stack.", pauseShape(), func(s *fleet.Stack, v pause) { s.PauseLimit, s.PauseEvery = v.limit, v.every }),
	)
}

func setVolumes(s *fleet.Stack, all []entry[fleet.VolumePolicy]) {
	for _, e := range all {
		e.value.Volume = e.name
		s.Volumes = append(s.Volumes, e.value)
	}
}

func setOnChange(s *fleet.Stack, all []entry[string]) {
	for _, e := range all {
		s.OnChange = append(s.OnChange, fleet.ServiceChange{Service: e.name, Policy: fleet.OnChange(e.value)})
	}
}

func setOnRotate(s *fleet.Stack, all []entry[[]string]) {
	for _, e := range all {
		s.OnRotate = append(s.OnRotate, fleet.ServiceCommand{Service: e.name, Argv: e.value})
	}
}

// serviceNames are names of services as the Compose specification has them.
func serviceNames() naming {
	return keysLike(servicePattern, "a service's name")
}

func volumeShape() shape[fleet.VolumePolicy] {
	return object(
		key("protect", "snapshot by default.", choice(fleet.Snapshot, fleet.Shared, fleet.External, fleet.HostPath, fleet.Config, fleet.None), func(v *fleet.VolumePolicy, p fleet.Protection) { v.Protect = p }),
		key("consistent", "How a snapshot gets a consistent copy; detected for database images.", choice(fleet.Pause, fleet.Postgres, fleet.Live), func(v *fleet.VolumePolicy, m fleet.Method) { v.Consistent = m }),
		key("formerly", "The former name of this volume.", text(volumeNames().check), func(v *fleet.VolumePolicy, s string) { v.Formerly = s }),
	)
}

// volumeNames are names of volumes as Docker has them, or paths of bind mounts.
func volumeNames() naming {
	const pattern = `^([a-zA-Z0-9][a-zA-Z0-9_.-]*|(\.{1,2}|~)?/.*|\.{1,2}|~)$`
	return naming{pattern, func(v string) error {
		if !dockerNamePattern.MatchString(v) && !isBindPath(v) {
			return fmt.Errorf("%q is not a volume: use its name, or the path of a bind mount such as ./data", v)
		}
		return nil
	}}
}

// isBindPath reports whether Compose takes v for a path and not for a name.
func isBindPath(v string) bool {
	first, _, _ := strings.Cut(v, "/")
	switch first {
	case ".", "..", "~":
		return true
	}
	return strings.HasPrefix(v, "/")
}

type pause struct{ limit, every time.Duration }

func pauseShape() shape[pause] {
	return object(
		key("limit", "How long a snapshot may pause the stack, 5s by default.", duration(), func(p *pause, v time.Duration) { p.limit = v }),
		key("every", "Minimum time between snapshots that pause, 1h by default.", duration(), func(p *pause, v time.Duration) { p.every = v }),
	)
}

func checkProjectDir(v string) error {
	if !strings.HasPrefix(v, "/") || v == "/" || v != pathpkg.Clean(v) {
		return fmt.Errorf("%q is not a project directory: write its full path on the host, like /opt/stacks/notes", v)
	}
	return nil
}
