package hostlink

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/machine/machinetest"
	"salvor/internal/progress"
)

// TestAwaitBoot waits only for a cloud-init that runs, and not longer than five minutes.
func TestAwaitBoot(t *testing.T) {
	for name, c := range map[string]struct {
		status string // "" for a host without cloud-init
		code   int    // of --wait; -1 for one that never ends
		waits  bool
		want   string
	}{
		"none":     {},
		"done":     {status: "status: done\n"},
		"disabled": {status: "status: disabled\n"},
		"running":  {status: "status: running\n", waits: true},
		"begins":   {status: "status: not started\n", waits: true},
		"fails":    {status: "status: running\n", code: 2, waits: true},
		"for ever": {status: "status: running\n", code: -1, waits: true, want: "alpha: cloud-init is still running after 20ms"},
	} {
		t.Run(name, func(t *testing.T) {
			f, waited := machinetest.NewFake(), false
			if c.status != "" {
				f.Say(0, c.status, "cloud-init", "status")
			}
			f.Handle(func(ctx context.Context, p machinetest.Process) int {
				waited = true
				if c.code >= 0 {
					return c.code
				}
				<-ctx.Done()
				_, _ = io.WriteString(p.Stdout, "....")
				return 143
			}, "cloud-init", "status", "--wait")
			var events []progress.Event
			err := link(f, &events).awaitBoot(t.Context(), 20_000_000)
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want || !strings.Contains(fault.Hint(err), "cloud-init status --long")) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if waited != c.waits || (len(events) > 0) != c.waits {
				t.Errorf("waited %v, events %+v", waited, events)
			}
		})
	}
}

// TestAwaitBootIsInterrupted: what ends the command is not the limit.
func TestAwaitBootIsInterrupted(t *testing.T) {
	f := machinetest.NewFake()
	f.Say(0, "status: running\n", "cloud-init", "status")
	ctx, cancel := context.WithCancel(t.Context())
	f.Handle(func(ctx context.Context, _ machinetest.Process) int {
		cancel()
		<-ctx.Done()
		return 143
	}, "cloud-init", "status", "--wait")
	if err := link(f, nil).AwaitBoot(ctx); !errors.Is(err, context.Canceled) || fault.Hint(err) != "" {
		t.Errorf("%v", err)
	}
}
