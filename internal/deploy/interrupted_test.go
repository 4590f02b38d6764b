package deploy

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

type carrier struct{}

func (carrier) Version() string                    { return "test" }
func (carrier) Open(string) (io.ReadCloser, error) { return nil, errNoHost }

// interrupts answers an apply with a receipt, as a host does whose salvord is
// asked to end, after the operator's Ctrl-C.
type interrupts struct{ cancel func() }

func (i interrupts) Dial(_ context.Context, h fleet.Host) (*hostlink.Link, error) {
	m := machinetest.NewFake()
	m.Handle(func(_ context.Context, p machinetest.Process) int {
		_, err := io.WriteString(p.Stdout, `{"result":{"host":"`+h.Name+`","stacks":[{"name":"blog","epoch":1,"outcome":"interrupted","error":{"text":"interrupted"}}]}}`+"\n")
		i.cancel()
		if err != nil {
			return 1
		}
		return 0
	}, hostpath.Salvord)
	return &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: progress.Discard()}, nil
}

// TestAnInterruptedApplyIsNotDone is fault D26: after Ctrl-C the screen said "✔ fleet
// apply", and the hosts' reports could not be found.
func TestAnInterruptedApplyIsNotDone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := &surroundings{}
	s := session(f, map[string]fleet.VolumeState{})
	s.Hosts = interrupts{cancel}
	var ends []string
	s.Sink = progress.SinkFunc(func(e progress.Event) {
		if e.State == progress.Done || e.State == progress.Failed {
			ends = append(ends, string(e.State)+" "+e.Step+" "+e.Text)
		}
	})
	r, err := s.Apply(ctx, Plan{Hosts: []HostPlan{{Host: "alpha", Changes: []agentapi.Change{{Stack: "blog"}}}}}, s.Lock, Options{Kind: "apply"})
	if !errors.Is(err, ErrInterrupted) || r.Stacks()["blog"].Outcome != "interrupted" || len(r.Pending) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if diff := cmp.Diff([]string{"done ask Git ", "done record the owners ", "failed apply interrupted"}, ends); diff != "" {
		t.Errorf("the screen (-want +got):\n%s", diff)
	}
}
