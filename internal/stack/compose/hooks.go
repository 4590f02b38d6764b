package compose

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/mattn/go-shellwords"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/suggest"
)

// around is what happens to a stack's services for a snapshot: hooks that run in them, and which of them are stopped.
// x-salvor says it, and so do the labels of docker-volume-backup
// (https://offen.github.io/docker-volume-backup/), where they mean the same.
type around struct{ load *load }

// backupLabel begins docker-volume-backup's labels, and its image's name is that, too.
const backupLabel = "docker-volume-backup"

// hooks returns those of x-salvor, then those of labels, by service.
func (a around) hooks() (all fleet.Hooks, err error) {
	for _, h := range a.load.Stack.Hooks.Before {
		all.Before, err = append(all.Before, h), cmp.Or(err, a.runs(h))
	}
	for _, h := range a.load.Stack.Hooks.After {
		all.After, err = append(all.After, h), cmp.Or(err, a.runs(h))
	}
	for _, name := range a.load.project.ServiceNames() {
		s := a.load.project.Services[name]
		if !a.load.active[name] || !a.asked(s, "exec-label", "EXEC_LABEL") {
			continue
		}
		before, berr := a.labelled(s, "archive-pre", "exec-pre")
		after, aerr := a.labelled(s, "archive-post", "exec-post")
		all.Before, all.After = append(all.Before, before...), append(all.After, after...)
		err = cmp.Or(err, berr, aerr)
	}
	return all, err
}

// runs refuses a hook in a service that does not start.
func (a around) runs(h fleet.Hook) error {
	names := slices.DeleteFunc(a.load.project.ServiceNames(), func(name string) bool { return !a.load.active[name] })
	if !slices.Contains(names, h.Service) {
		return a.load.fail(h.Position, "hooks: no service %q starts%s; name one of %s", h.Service, suggest.DidYouMean(h.Service, names), some(names))
	}
	return nil
}

// labelled is the hook that the first of these labels has.
func (a around) labelled(s types.ServiceConfig, labels ...string) ([]fleet.Hook, error) {
	for _, label := range labels {
		text := s.Labels[backupLabel+"."+label]
		if text == "" {
			continue
		}
		at := a.load.files.of("services", s.Name, "labels")
		if marked(text) {
			return nil, a.load.fail(at, "%s: a secret can't be part of a command: every user of the host could read it; read its file in the container: sh -c 'tool < /run/secrets/NAME'", s.Name)
		}
		if strings.Contains(text, tailnetMark) {
			return nil, a.load.fail(at, "%s: ${%s} can't be part of a hook; read it in the container from a variable of its environment", s.Name, project.TailnetIP)
		}
		argv, err := shellwords.Parse(text)
		if err != nil || len(argv) == 0 {
			return nil, a.load.fail(at, "%s: the label %s.%s is not a command: %q; close its quotes", s.Name, backupLabel, label, text)
		}
		return []fleet.Hook{{Service: s.Name, User: s.Labels[backupLabel+"."+label+".user"], Command: argv, Limit: fleet.DefaultHookLimit, Position: at}}, nil
	}
	return nil, nil
}

// asked reports whether a service has a label with the value that the stack's own docker-volume-backup looks for, by a
// variable of it. Where it looks for none, or the stack has none, all are meant.
func (a around) asked(s types.ServiceConfig, label, variable string) bool {
	for _, name := range a.load.project.ServiceNames() {
		other := a.load.project.Services[name]
		_, repository := project.Home(other.Image)
		if want := other.Environment[variable]; path.Base(repository) == backupLabel && want != nil && *want != "" {
			return s.Labels[backupLabel+"."+label] == *want
		}
	}
	return true
}

// stops returns the services that are stopped for a snapshot: those that have a volume with consistent: stop, and those
// with the label.
func (a around) stops(ms *mounts) []string {
	var names []string
	for _, v := range ms.data {
		if v.Protect == fleet.Snapshot && v.Method == fleet.Stop {
			names = append(names, v.Services...)
		}
	}
	for _, name := range a.load.project.ServiceNames() {
		s := a.load.project.Services[name]
		if said := s.Labels[backupLabel+".stop-during-backup"]; said != "" && said != fmt.Sprint(false) && a.asked(s, "stop-during-backup", "BACKUP_STOP_DURING_BACKUP_LABEL") {
			names = append(names, name)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !a.load.active[name] })
	slices.Sort(names)
	return slices.Compact(names)
}
