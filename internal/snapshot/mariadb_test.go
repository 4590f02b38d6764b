package snapshot

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/mariadb/mariadbtest"
	"salvor/internal/snapshot/method"
)

// isolatedMariaDB starts servers for loads.
type isolatedMariaDB struct{}

func (isolatedMariaDB) Start(ctx context.Context, _ Volume, dir string, s method.Start) (Running, error) {
	running, err := (&mariadbtest.Starter{Volume: dir}).Start(ctx, s)
	if running == nil {
		return nil, err
	}
	return oneService{running}, err
}

// TestMariaDBIsDumpedAndLoaded: a server comes back from its dump, which was loaded as a
// test; once no one can log in any more, its files are copied in a pause, and the
// finding has the line to add.
func TestMariaDBIsDumpedAndLoaded(t *testing.T) {
	t.Parallel()
	mariadbtest.Require(t)
	h := newLab(t)
	server := mariadbtest.Run(t, mariadbtest.Options{Volume: h.data})
	server.Script(t, "CREATE DATABASE app; CREATE TABLE app.t (id INT); INSERT INTO app.t VALUES (1), (2);")
	take := func(j *Job) {
		j.Volumes[0].Method, j.Volumes[0].Service, j.Volumes[0].MountAt = fleet.MariaDB, "db", mariadbtest.MountAt
		j.Runner, j.Database, j.Images, j.PauseLimit = oneService{server}, isolatedMariaDB{}, map[string]string{"db": "mariadb@sha256:1"}, time.Minute
	}
	if r := h.take(t, take); r.Snapshot.ID == "" || r.Paused != 0 || len(r.Findings) > 0 {
		t.Fatalf("got %+v", r)
	}
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(h.data); err != nil {
		t.Fatal(err)
	}
	job := h.restoreJob()
	job.Volumes[0].Service, job.Database = "db", isolatedMariaDB{}
	f := h.restore(t, job)
	if m, _ := f.Meta.Volume("data"); m.Form != MariaDBDump || m.Loaded.IsZero() || m.Stats.Rows != 2 {
		t.Errorf("got %+v", m)
	}
	server.Start(t)
	if got := server.Script(t, "SELECT id FROM app.t; ALTER USER root@localhost IDENTIFIED BY 'unknown';"); got != "1\n2\n" {
		t.Errorf("got %q", got)
	}
	r := h.take(t, take)
	only(t, r, finding.DumpFailed, "cannot log in")
	if r.Paused == 0 || !strings.Contains(r.Findings[0].Fix, "MARIADB_ROOT_PASSWORD_FILE") {
		t.Errorf("paused %s, fix %s", r.Paused, r.Findings[0].Fix)
	}
}
