package here_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine/machinetest"
	"salvor/internal/project"
)

// TestNoStackStartsOnASharedDatabase: its files are seen once the volume is mounted.
func TestNoStackStartsOnASharedDatabase(t *testing.T) {
	t.Parallel()
	h, fake := bare(t), machinetest.NewFake()
	fake.Say(0, "", "systemctl")
	h.Machine = fake
	mine, others := t.TempDir(), t.TempDir()
	for _, dir := range []string{mine, others} {
		if err := os.MkdirAll(filepath.Join(dir, "db"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	version := filepath.Join(mine, "db", "PG_VERSION")
	for _, file := range []string{version, filepath.Join(others, "db", "PG_VERSION")} {
		if err := os.WriteFile(file, []byte("17\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	st := agentapi.Stack{Name: "photos", Shared: &agentapi.Shared{Mount: fleet.DefaultSharedMount()}, Volumes: []project.Volume{
		{Name: "library", Path: mine, Protect: fleet.Shared}, {Name: "shown", Path: others, Protect: fleet.Shared, From: "films/library"},
	}}
	s := h.At(agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}}, st)
	databases := func() (found []finding.Finding) {
		for _, f := range s.SharedFindings(time.Now()) {
			if f.Code == finding.SharedDatabase {
				found = append(found, f)
			}
		}
		return found
	}
	err := s.Mount(t.Context())
	if err == nil || !strings.Contains(err.Error(), `shared volume library has the file "db/PG_VERSION" of a Postgres database`) || !strings.Contains(fault.Hint(err), "move library/db out") {
		t.Errorf("%v (%s)", err, fault.Hint(err))
	}
	if found := databases(); len(found) != 1 || found[0].Subject != "alpha/photos" {
		t.Errorf("%+v", found)
	}
	if err := os.Remove(version); err != nil {
		t.Fatal(err)
	}
	if err := s.Mount(t.Context()); err != nil || len(databases()) > 0 {
		t.Errorf("%v, %+v", err, databases())
	}
	if err := here.LookForDatabases(t.Context(), h, time.Now()); err != nil { // of a host that was asked for nothing
		t.Error(err)
	}
}
