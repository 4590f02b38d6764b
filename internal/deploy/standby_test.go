package deploy

import (
	"context"
	"io"
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/hostpath"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

// stander stands by until its connection ends, or until the host gives up.
type stander struct {
	gone, giveUp chan struct{}
	says         string
}

func (host stander) Dial(_ context.Context, h fleet.Host) (*hostlink.Link, error) {
	m := machinetest.NewFake()
	m.Handle(func(ctx context.Context, p machinetest.Process) int {
		defer close(host.gone)
		if _, err := io.WriteString(p.Stdout, host.says+"\n"); err != nil {
			return 1
		}
		select {
		case <-ctx.Done():
		case <-host.giveUp:
		}
		return 1
	}, hostpath.Salvord)
	return &hostlink.Link{Host: h.Name, Machine: m, Carrier: carrier{}, Sink: progress.Discard()}, nil
}

// TestS03AHostStandsByWhileItsSnapshotsArePruned asks a host to, which ends with the
// connection, and ends what relies on a host that does not any more.
func TestS03AHostStandsByWhileItsSnapshotsArePruned(t *testing.T) {
	t.Parallel()
	for _, givesUp := range []bool{false, true} {
		host := stander{make(chan struct{}), make(chan struct{}), `{"event":{"step":"stand-by","state":"done"}}`}
		s := session(&surroundings{}, nil)
		s.Hosts = host
		ctx, release, err := s.StandBy(t.Context(), "alpha", []string{"blog"})
		if err != nil || ctx.Err() != nil {
			t.Fatal(err, ctx.Err())
		}
		if givesUp {
			close(host.giveUp)
			<-ctx.Done()
		}
		release()
		<-host.gone
		if ctx.Err() == nil {
			t.Error("released, and it goes on")
		}
	}
	s := session(&surroundings{}, nil)
	other := stander{make(chan struct{}), make(chan struct{}), `{"result":{}}`}
	close(other.giveUp)
	s.Hosts = other
	if _, _, err := s.StandBy(t.Context(), "alpha", nil); err == nil {
		t.Error("a host that only answers stands by")
	}
	s.Hosts = &surroundings{}
	if _, _, err := s.StandBy(t.Context(), "alpha", nil); err == nil {
		t.Error("a host that is off stands by")
	}
}
