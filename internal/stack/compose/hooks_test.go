package compose

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// TestLabelsOfBackupsMeanTheSame: docker-volume-backup's labels are hooks, and services that are stopped.
func TestLabelsOfBackupsMeanTheSame(t *testing.T) {
	t.Parallel()
	const services = `services:
  app:
    image: example/app
    labels:
      docker-volume-backup.stop-during-backup: true
      docker-volume-backup.archive-pre: sh -c 'tool dump > /data/dump "$$NAME"'
      docker-volume-backup.archive-pre.user: tool
      docker-volume-backup.archive-post: tool tidy
      docker-volume-backup.copy-pre: is not taken over
    volumes: ["data:/data"]
  worker: {image: example/worker, labels: {docker-volume-backup.stop-during-backup: weekly, docker-volume-backup.exec-pre: tool, docker-volume-backup.exec-label: weekly}}
  idle: {image: example/app, profiles: [x], labels: {docker-volume-backup.stop-during-backup: true, docker-volume-backup.archive-pre: tool}}
  stays: {image: example/app, labels: {docker-volume-backup.stop-during-backup: false}}
`
	const backup = "  backup: {image: \"offen/docker-volume-backup:v2\", environment: {EXEC_LABEL: weekly, BACKUP_STOP_DURING_BACKUP_LABEL: weekly}}\n"
	const volumes = "volumes: {data: {}}\n"
	dump := fleet.Hook{Service: "app", User: "tool", Command: []string{"sh", "-c", `tool dump > /data/dump "$NAME"`}, Limit: time.Minute, Position: "stacks/app/compose.yaml:4:5"}
	tidy := fleet.Hook{Service: "app", Command: []string{"tool", "tidy"}, Limit: time.Minute, Position: "stacks/app/compose.yaml:4:5"}
	weekly := fleet.Hook{Service: "worker", Command: []string{"tool"}, Limit: time.Minute, Position: "stacks/app/compose.yaml:11:35"}
	said := fleet.Hook{Service: "app", Command: []string{"first"}, Limit: time.Second}
	for name, c := range map[string]struct {
		files string
		hooks fleet.Hooks
		stops string
	}{
		"all":              {services + volumes, fleet.Hooks{Before: []fleet.Hook{said, dump, weekly}, After: []fleet.Hook{tidy}}, "app worker"},
		"what backup asks": {services + backup + volumes, fleet.Hooks{Before: []fleet.Hook{said, weekly}}, "worker"},
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": c.files})
		opts.Stack.Hooks.Before = []fleet.Hook{said}
		_, _, loaded := running(t, opts)
		if diff := cmp.Diff(c.hooks, loaded.Hooks); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if got := strings.Join(loaded.Stops, " "); got != c.stops {
			t.Errorf("%s: stops %q, want %q", name, got, c.stops)
		}
	}
}

func TestHooksThatCantRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ label, service, want string }{
		"no such service": {"tool", "ap", `x:1:1: hooks: no service "ap" starts, did you mean "app"?`},
		"open quotes":     {"sh -c 'tool", "app", "stacks/app/compose.yaml:4:5: app: the label docker-volume-backup.archive-pre is not a command"},
		"a secret":        {"tool ${PASSWORD}", "app", "stacks/app/compose.yaml:4:5: app: a secret can't be part of a command"},
	} {
		opts := stackOf(t, map[string]string{"compose.yaml": "services:\n  app:\n    image: nginx\n    labels:\n      docker-volume-backup.archive-pre: \"" + c.label + "\"\n"})
		opts.SecretKeys = []string{"PASSWORD"}
		opts.Stack.Hooks.After = []fleet.Hook{{Service: c.service, Command: []string{"true"}, Position: "x:1:1"}}
		if _, _, err := Load(t.Context(), opts); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestStopAndExclude: services with a volume that wants it are stopped, and a database is taken whole.
func TestStopAndExclude(t *testing.T) {
	t.Parallel()
	opts := stackOf(t, map[string]string{"compose.yaml": "services:\n  app: {image: nginx, volumes: [\"data:/data\", \"db:/more\"]}\n  side: {image: nginx, volumes: [\"data:/data:ro\"]}\n  db: {image: \"mariadb:11\", volumes: [\"db:/var/lib/mysql\"]}\nvolumes: {data: {}, db: {}}\n"})
	opts.Stack.Volumes = []fleet.VolumePolicy{
		{Volume: "data", Protect: fleet.Snapshot, Consistent: fleet.Stop, Exclude: []string{"*.tmp"}, Caches: fleet.KeepCaches},
		{Volume: "db", Protect: fleet.Snapshot, Exclude: []string{"*.tmp"}},
	}
	_, found, loaded := running(t, opts)
	if diff := cmp.Diff([]string{"app", "side"}, loaded.Stops); diff != "" {
		t.Error(diff)
	}
	if got := loaded.Volumes[0].Omit(); !got.Equal(fleet.Omission{Patterns: []string{"*.tmp"}}) {
		t.Errorf("%+v", got)
	}
	if len(found) != 1 || !strings.Contains(found[0].Text, "exclude: would leave out a part of the database of db") {
		t.Errorf("%+v", found)
	}
}
