package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
	"salvor/internal/snapshot/postgres/postgrestest"
)

// TestEveryKindOfVolumeComesBack is faults D3 and F12 and their kin: every method
// with every kind of mount is taken, lost and restored. Docker volumes, relative
// binds and absolute ones are staged in different places; one is on another file
// system.
func TestEveryKindOfVolumeComesBack(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{}) // the database of a named volume
	other, err := os.MkdirTemp("/dev/shm", "snapshot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	absolute := t.TempDir()
	mounts := map[string]string{
		"named": filepath.Join(h.Dirs.Volumes, "notes_named", "_data"), "External": filepath.Join(h.Dirs.Volumes, "External", "_data"),
		"@pgdata": filepath.Join(h.Dirs.State, "data", "notes", "@pgdata"), "@sub/folder": filepath.Join(h.Dirs.State, "data", "notes", "@sub", "folder"),
		"/srv/data": filepath.Join(absolute, "data"), "/mnt/disk": filepath.Join(other, "disk"),
	}
	volumes := []Volume{{Name: "data", Path: h.data, Method: fleet.Postgres, Service: "db", MountAt: h.data}}
	want := map[string]map[string]string{}
	for name, path := range mounts {
		for _, method := range []fleet.Method{fleet.Pause, fleet.Live, fleet.Postgres} {
			v := Volume{Name: name + "-" + string(method), Path: path + "-" + string(method), Method: method, Service: "elsewhere", MountAt: "/elsewhere"}
			if err := os.MkdirAll(v.Path, 0o755); err != nil {
				t.Fatal(err)
			}
			rich(t, v.Path)
			want[v.Name] = manifest(t, v.Path)
			volumes = append(volumes, v)
		}
	}
	h.server.Script(t, "postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
	r := h.take(t, func(j *Job) { h.postgres(j); j.Volumes = volumes; j.PauseLimit = 2 * time.Minute })
	if len(r.Findings) > 0 {
		t.Errorf("findings %+v", r.Findings)
	}
	if err := h.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes {
		if err := os.RemoveAll(v.Path); err != nil {
			t.Fatal(err)
		}
	}
	job := h.restoreJob()
	job.Volumes, job.Database = volumes, h.isolated
	h.restore(t, job)
	for _, v := range volumes[1:] {
		if diff := cmp.Diff(want[v.Name], manifest(t, v.Path)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", v.Name, diff)
		}
	}
	h.server.Start(t)
	if got := h.server.Script(t, "postgres", "SELECT * FROM t"); got != "1\n" {
		t.Errorf("got %q", got)
	}
}

// services runs commands in the containers of several services.
type services map[string]*postgrestest.Container

func (s services) Exec(ctx context.Context, c Command) error {
	return oneService{s[c.Service]}.Exec(ctx, c)
}

// TestADatabaseComesBackFromEveryMount is faults D3 and F12: a dump is loaded where
// its database lay, whatever the mount and wherever below it the data.
func TestADatabaseComesBackFromEveryMount(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	other, err := os.MkdirTemp("/dev/shm", "snapshot-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(other) })
	made, running := postgrestest.NewMade(t), services{}
	job, back := l.job(), l.restoreJob()
	job.Volumes, job.Images = nil, map[string]string{}
	for _, m := range []struct{ name, path, below string }{
		{"External", filepath.Join(l.Dirs.Volumes, "External", "_data"), "pgdata"},
		{"./pgdata", filepath.Join(l.Dirs.State, "data", "notes", "@pgdata"), ""},
		{"/srv/data", filepath.Join(t.TempDir(), "data"), "17/docker"},
		{"/mnt/disk", filepath.Join(other, "disk"), ""},
	} {
		service := "db-" + DirName(m.name)
		running[service] = postgrestest.Run(t, postgrestest.Options{Data: filepath.Join(m.path, m.below), Made: made})
		running[service].Script(t, "postgres", "CREATE TABLE t AS SELECT '"+m.name+"' AS at")
		job.Images[service] = "postgres@sha256:1"
		job.Volumes = append(job.Volumes, Volume{Name: m.name, Path: m.path, Method: fleet.Postgres, Service: service, MountAt: m.path})
	}
	job.Runner = running
	r, err := l.Take(t.Context(), job)
	if err != nil || len(r.Findings) > 0 || r.Paused > 0 {
		t.Fatalf("took %+v, %v", r, err)
	}
	for _, v := range job.Volumes {
		if err := running[v.Service].Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(v.Path); err != nil {
			t.Fatal(err)
		}
	}
	back.Volumes, back.Database = job.Volumes, &isolatedHost{t: t}
	l.restore(t, back)
	for _, v := range job.Volumes {
		running[v.Service].Start(t)
		if got := running[v.Service].Script(t, "postgres", "SELECT at FROM t"); got != v.Name+"\n" {
			t.Errorf("%s: got %q", v.Name, got)
		}
	}
}

// TestSilentDatabaseIsNotJudged: a deploy that ends before its database answers
// reports nothing about dumps.
func TestSilentDatabaseIsNotJudged(t *testing.T) {
	t.Parallel()
	h := newHost(t, postgrestest.Options{})
	v := Volume{Name: "data", Path: h.data, Method: fleet.Postgres, Service: "db", MountAt: h.data}
	if found, answered := ProbeDump(t.Context(), oneService{h.server}, "notes", v); len(found) > 0 || !answered {
		t.Errorf("%+v, %t", found, answered)
	}
	if err := h.server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if found, answered := ProbeDump(t.Context(), oneService{h.server}, "notes", v); len(found) > 0 || answered {
		t.Errorf("%+v, %t", found, answered)
	}
}
