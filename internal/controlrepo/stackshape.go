package controlrepo

import (
	"fmt"
	pathpkg "path"
	"regexp"
	"strings"
	"time"

	"salvor/internal/fleet"
	"salvor/internal/yamldoc"
)

// Limits of a pause if x-salvor does not set them.
const (
	defaultPauseLimit = 5 * time.Second
	defaultPauseEvery = time.Hour
)

var (
	onChangePattern = regexp.MustCompile(`^(none|restart|recreate|signal(:[A-Z][A-Z0-9+-]{1,9})?)$`)
	projectPattern  = regexp.MustCompile(fleet.ProjectPattern)
	fromPattern     = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*/[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)
	umaskPattern    = regexp.MustCompile(`^0?[0-7]{3}$`)
	sizePattern     = regexp.MustCompile(`^[1-9][0-9]{0,6}(MiB|GiB|TiB)$`)
	servicePattern  = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
)

// stackShape is the one definition of x-salvor: it decodes, and
// docs/reference/x-salvor.schema.json is made from it.
func stackShape() yamldoc.Shape[fleet.Stack] {
	return yamldoc.Object(
		yamldoc.Key("host", "The host that should run this stack. The placement itself is in salvor.lock.", name(), func(s *fleet.Stack, v string) { s.Host = v }),
		yamldoc.Key("rpo", "How much work may be lost at most; status and drills compare with it.", yamldoc.Duration(), func(s *fleet.Stack, v time.Duration) { s.RPO = v }),
		yamldoc.Key("dir", "The folder of an adopted stack on its host: its relative data binds stay there, and Salvor writes nothing into it.", yamldoc.Text(checkProjectDir), func(s *fleet.Stack, v string) { s.ProjectDir = v }),
		yamldoc.Key("project", "The Compose project's name, where it is not the stack's: it begins the names of its containers, volumes and networks, and never changes.", yamldoc.Matching(projectPattern, "a Compose project's name: write small letters, digits, - and _, beginning with a letter or digit"), func(s *fleet.Stack, v string) { s.Project = v }),
		yamldoc.Key("draft", "This file was made of the containers that run, since their host has none: `salvor apply --adopt` makes them again from it. It means nothing once that is done.", yamldoc.Truth(), func(s *fleet.Stack, v bool) { s.Draft = v }),
		yamldoc.Key("needs", "Stacks that must run before this one.", yamldoc.List(name()), func(s *fleet.Stack, v []string) { s.Needs = v }),
		yamldoc.Key("volumes", "How each volume's data survives the loss of its host: a named volume by its name, a bind mount by its path or by a folder of the host around it.", yamldoc.Named(volumeNames(), volumeShape()), setVolumes),
		yamldoc.Key("on_change", "How a running service is notified when one of its secrets changes, by service: none "+
			"(default), signal[:NAME], restart or recreate.", yamldoc.Named(serviceNames(), yamldoc.Matching(onChangePattern, "one of none, signal, signal:NAME, restart, recreate")), setOnChange),
		yamldoc.Key("on_rotate", "A command to run in a service when one of its secrets changed, by service: for "+
			"example, to change the password inside a database. It runs with the new value in place, before the service "+
			"is notified.", yamldoc.Named(serviceNames(), yamldoc.List(yamldoc.Plain())), setOnRotate),
		yamldoc.Key("formerly", "The former name of this stack: it keeps everything, and keeps that name on hosts and remotes.", name(), func(s *fleet.Stack, v string) { s.Formerly = v }),
		yamldoc.Key("shared", "How the stack's shared volumes are mounted on its host.", sharedShape(), func(s *fleet.Stack, v sharedMount) { s.Shared = v.whole() }),
		yamldoc.Key("hooks", "Commands that run in services around each snapshot.", hooksShape(), func(s *fleet.Stack, h fleet.Hooks) { s.Hooks = h }),
		yamldoc.Key("routes", "Public hostnames of services, in place of labels: the service joins the connector's network.", yamldoc.List(serviceRouteShape()), func(s *fleet.Stack, v []fleet.ServiceRoute) { s.Routes = v }),
		yamldoc.Key("pause", "Limits for snapshots that pause the stack.", pauseShape(), func(s *fleet.Stack, v pause) { s.PauseLimit, s.PauseEvery = v.limit, v.every }),
	)
}

func setVolumes(s *fleet.Stack, all []yamldoc.Entry[fleet.VolumePolicy]) {
	for _, e := range all {
		e.Value.Volume = e.Name
		s.Volumes = append(s.Volumes, e.Value)
	}
}

func setOnChange(s *fleet.Stack, all []yamldoc.Entry[string]) {
	for _, e := range all {
		s.OnChange = append(s.OnChange, fleet.ServiceChange{Service: e.Name, Policy: fleet.OnChange(e.Value)})
	}
}

func setOnRotate(s *fleet.Stack, all []yamldoc.Entry[[]string]) {
	for _, e := range all {
		s.OnRotate = append(s.OnRotate, fleet.ServiceCommand{Service: e.Name, Argv: e.Value})
	}
}

// serviceNames are names of services as the Compose specification has them.
func serviceNames() yamldoc.Naming {
	return yamldoc.KeysLike(servicePattern, "a service's name")
}

func volumeShape() yamldoc.Shape[fleet.VolumePolicy] {
	return yamldoc.Object(
		yamldoc.Key("protect", "snapshot by default.", yamldoc.Choice(fleet.Snapshot, fleet.Shared, fleet.External, fleet.HostPath, fleet.Config, fleet.None), func(v *fleet.VolumePolicy, p fleet.Protection) { v.Protect = p }),
		yamldoc.Key("consistent", "How a snapshot gets a consistent copy; detected for database images.", yamldoc.Choice(fleet.Pause, fleet.Stop, fleet.Postgres, fleet.MariaDB, fleet.SQLite, fleet.Live), func(v *fleet.VolumePolicy, m fleet.Method) { v.Consistent = m }),
		yamldoc.Key("exclude", "What snapshots leave out: names (`*.tmp`) or paths from the volume's root (`thumbs/*`, `**/cache/big`), with what is below.", yamldoc.List(yamldoc.Text(fleet.CheckPattern)), func(v *fleet.VolumePolicy, p []string) { v.Exclude = p }),
		yamldoc.Key("caches", "Folders with a CACHEDIR.TAG are left out of snapshots, unless this is `keep`.", yamldoc.Choice(fleet.KeepCaches, fleet.LeaveCaches), func(v *fleet.VolumePolicy, c fleet.Caches) { v.Caches = c }),
		yamldoc.Key("formerly", "The former name of this volume.", yamldoc.Text(volumeNames().Check), func(v *fleet.VolumePolicy, s string) { v.Formerly = s }),
		yamldoc.Key("from", "Of a shared volume: the folder of another stack's shared volume, STACK/VOLUME. It is mounted read-only, unless both have `writers: many`.", yamldoc.Matching(fromPattern, "another stack's shared volume: write it as STACK/VOLUME"), func(v *fleet.VolumePolicy, s string) { v.From = s }),
		yamldoc.Key("writers", "Of a shared volume: whether other stacks may write to its folder as well. `one` by default.", yamldoc.Choice(fleet.OneWriter, fleet.ManyWriters), func(v *fleet.VolumePolicy, w fleet.Writers) { v.Writers = w }),
	)
}

// volumeNames are names of volumes as Docker has them, or paths of bind mounts.
func volumeNames() yamldoc.Naming {
	const pattern = `^([a-zA-Z0-9][a-zA-Z0-9_.-]*|(\.{1,2}|~)?/.*|\.{1,2}|~)$`
	return yamldoc.Naming{Pattern: pattern, Check: func(v string) error {
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

func pauseShape() yamldoc.Shape[pause] {
	return yamldoc.Object(
		yamldoc.Key("limit", "How long a snapshot may pause the stack, 5s by default.", yamldoc.Duration(), func(p *pause, v time.Duration) { p.limit = v }),
		yamldoc.Key("every", "Minimum time between snapshots that pause, 1h by default.", yamldoc.Duration(), func(p *pause, v time.Duration) { p.every = v }),
	)
}

func checkProjectDir(v string) error {
	if !strings.HasPrefix(v, "/") || v == "/" || v != pathpkg.Clean(v) {
		return fmt.Errorf("%q is not a project directory: write its full path on the host, like /opt/stacks/notes", v)
	}
	return nil
}

func hooksShape() yamldoc.Shape[fleet.Hooks] {
	return yamldoc.Object(
		yamldoc.Key("before", "Run before anything is read. If one fails, no snapshot is taken.", yamldoc.List(hookShape()), func(h *fleet.Hooks, all []fleet.Hook) { h.Before = all }),
		yamldoc.Key("after", "Run once everything is read, also if a hook before it or the snapshot failed or was killed.", yamldoc.List(hookShape()), func(h *fleet.Hooks, all []fleet.Hook) { h.After = all }),
	)
}

func hookShape() yamldoc.Shape[fleet.Hook] {
	return yamldoc.Object(
		yamldoc.Key("service", "In whose container the command runs.", yamldoc.Matching(servicePattern, "a service's name"), func(h *fleet.Hook, v string) { h.Service = v }).Must(),
		yamldoc.Key("command", "The program and its arguments; no shell reads them.", yamldoc.List(yamldoc.Plain()), func(h *fleet.Hook, v []string) { h.Command = v }).Must(),
		yamldoc.Key("user", "As whom it runs; the image's user by default.", yamldoc.Text(nil), func(h *fleet.Hook, v string) { h.User = v }),
		yamldoc.Key("limit", "After how long it counts as failed, 1m by default.", yamldoc.Duration(), func(h *fleet.Hook, v time.Duration) { h.Limit = v }),
	)
}
