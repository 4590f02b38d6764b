package deploy

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

// morning is a fleet in which gamma does not answer, and of which others read the record
// or not.
type morning struct{ newest string }

func (m morning) Dial(_ context.Context, h fleet.Host) (*hostlink.Link, error) {
	if h.Name == "gamma" {
		return nil, fmt.Errorf("gamma: %w", machine.ErrUnreachable)
	}
	f := machinetest.NewFake()
	f.Say(0, `{"result":{"schema":1}}`+"\n", hostpath.Salvord, agentapi.VerbStatus)
	f.Handle(func(_ context.Context, p machinetest.Process) int {
		if h.Name == "alpha" || m.newest == "" {
			_, _ = io.WriteString(p.Stdout, `{"error":{"code":1,"text":"the record does not answer"}}`+"\n")
			return 0
		}
		_, _ = io.WriteString(p.Stdout, `{"result":{"schema":1,"stacks":{"wiki":`+m.newest+"}}}\n")
		return 0
	}, hostpath.Salvord, agentapi.VerbNewest)
	return &hostlink.Link{Host: h.Name, Machine: f, Carrier: noCarrier{}, Sink: progress.Discard()}, nil
}

// TestASilentHostsSnapshotsAreKnown: by another host that reads the record, else by
// salvor.lock, which may be behind.
func TestASilentHostsSnapshotsAreKnown(t *testing.T) {
	proven, learned := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		newest string
		want   map[string]LastSnapshot
	}{
		"by the record": {`{"id":"aa","epoch":1,"seq":3,"at":"2026-01-02T03:04:05Z"}`, map[string]LastSnapshot{"wiki": {At: proven, From: "beta"}}},
		"by the lock":   {"", map[string]LastSnapshot{"wiki": {At: learned}}},
	} {
		lock := fleet.Lock{Stacks: map[string]fleet.Placement{
			"wiki": {Host: "gamma", Epoch: 1, Repositories: map[string]string{"offsite": "r1"}, Proven: map[string]fleet.Proven{"r1": {Epoch: 1, Seq: 2, ID: "bb", At: learned}}},
			"site": {Host: "gamma", Epoch: 1},
		}}
		s := &Session{Fleet: &fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "gamma"}}}, Lock: lock, Hosts: morning{c.newest}, Sink: progress.Discard()}
		all := s.Status(t.Context())
		if diff := cmp.Diff(c.want, all[2].Newest); diff != "" || all[2].Error == "" || all[2].Hint == "" {
			t.Errorf("%s: %+v (-want +got)\n%s", name, all[2], diff)
		}
	}
}
