package hostprep_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/converge"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/machine/local"
	"salvor/internal/progress"
)

// TestPrepareThisHost prepares the host it runs on. It is compiled (go test -c,
// CGO_ENABLED=0), copied to a lab host and run there with
// SALVOR_PREPARE_THIS_HOST=yes; SALVOR_DOCKER_CHANNEL chooses docker.channel.
func TestPrepareThisHost(t *testing.T) {
	if os.Getenv("SALVOR_PREPARE_THIS_HOST") != "yes" {
		t.Skip("it changes the host it runs on: set SALVOR_PREPARE_THIS_HOST=yes on a lab host")
	}
	if _, err := os.Stat(hostpath.Salvord); errors.Is(err, fs.ErrNotExist) {
		standIn(t)
	}
	m := local.Machine{}
	spec := hostprep.Spec{Docker: fleet.Docker{Channel: os.Getenv("SALVOR_DOCKER_CHANNEL")}}
	p := prepare(t, m, spec)
	t.Logf("plan:\n%s", p)
	began := time.Now()
	outcomes, err := p.Apply(t.Context(), progress.Scope{Sink: progress.SinkFunc(func(e progress.Event) {
		if e.Step != "" && e.State != progress.Running {
			t.Logf("%6.2f s %s %s %s", time.Since(began).Seconds(), e.State, e.Step, e.Text)
		}
	})})
	if err != nil {
		t.Fatalf("apply: %v", err)
	}
	t.Logf("applied %d changes in %s", len(outcomes), time.Since(began).Round(time.Millisecond))
	for range 3 {
		began = time.Now()
		again := prepare(t, m, spec)
		t.Logf("second plan: %s, %d changes", time.Since(began).Round(100*time.Microsecond), len(again.Changes))
		if !again.Empty() {
			t.Fatalf("there is a plan after apply:\n%s", again)
		}
	}
	for _, argv := range [][]string{{"docker", "version"}, {"docker", "compose", "version"}, {"systemctl", "is-active", "salvord.service"}} {
		if out, err := m.Run(t.Context(), machine.Command(argv...)); err != nil {
			t.Errorf("%v: %v\n%s", argv, err, out.Stdout)
		}
	}
}

func prepare(t *testing.T, m machine.Machine, spec hostprep.Spec) *converge.Plan {
	t.Helper()
	facts, err := hostprep.Look(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := hostprep.Resources(facts, spec)
	if err != nil {
		t.Fatal(err)
	}
	p, err := converge.NewPlan(t.Context(), m, resources)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// standIn puts a program at salvord's place that does nothing for ever.
func standIn(t *testing.T) {
	t.Helper()
	if err := atomicfile.Write(hostpath.Salvord, bytes.NewBufferString("#!/bin/sh\n[ \"$1\" = resume ] || exec sleep infinity\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
