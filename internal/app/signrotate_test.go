package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
	"salvor/internal/sign"
)

// enrolling is a host whose salvord only enrols.
type enrolling struct {
	*debiantest.Host
	agent agent.Host
}

// Run implements machine.Machine.
func (e *enrolling) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if len(c.Argv) != 2 || c.Argv[1] != agentapi.VerbEnrol {
		return machine.Output{}, fmt.Errorf("%v was run", c.Argv)
	}
	var req agentapi.Request
	var enrol agentapi.Enrol
	if err := json.NewDecoder(c.Stdin).Decode(&req); err != nil {
		return machine.Output{}, err
	}
	if err := json.Unmarshal(req.Body, &enrol); err != nil {
		return machine.Output{}, err
	}
	answer, err := e.agent.Enrol(ctx, enrol, progress.Discard())
	if err != nil {
		return machine.Output{}, err
	}
	result, err := json.Marshal(answer)
	if err != nil {
		return machine.Output{}, err
	}
	return machine.Output{}, json.NewEncoder(c.Stdout).Encode(agentapi.Message{Result: result})
}

func TestTheSigningKeyIsRotatedWithAnOverlap(t *testing.T) {
	k := newKeyed(t)
	host := &enrolling{Host: debiantest.New(), agent: agent.Host{Machine: debiantest.New(), Paths: hostpath.Layout{Config: t.TempDir()}}}
	away := true
	open := func() *App {
		o := k.options(k.ann)
		o.Connect = func(context.Context, fleet.Host) (machine.Machine, error) {
			if away {
				return nil, machine.ErrUnreachable
			}
			return host, nil
		}
		return openWith(t, o)
	}
	before := k.trusted()
	k.claim(1)
	for range 2 { // the second continues where the first was interrupted
		if _, err := open().Keys.PrepareRotateSigning().Run(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "alpha does not trust the new key yet") || fault.Hint(err) == "" {
			t.Fatalf("%v", err)
		}
		both := k.trusted()
		if key, err := k.open(k.ann).FleetKeys.SigningKey(t.Context()); err != nil || len(both) != 2 || both[0] != before[0] || key.Public() != before[0] {
			t.Fatalf("trusted %q, %v: the old key signs until every host trusts the new one", both, err)
		}
	}
	both := k.trusted()
	away = false
	if _, err := open().Keys.PrepareRotateSigning().Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if keys, err := host.agent.Trusted(); err != nil || !slices.Equal(keys, both) {
		t.Errorf("alpha trusts %q, %v", keys, err)
	}
	key, err := k.open(k.ann).FleetKeys.SigningKey(t.Context())
	if now := k.trusted(); err != nil || !slices.Equal(now, sign.Keys{both[1]}) || key.Public() != both[1] {
		t.Errorf("trusted %q: %v", now, err)
	}
	if owner := k.owner(); owner.Host != "alpha" || owner.Epoch != 1 {
		t.Errorf("the claim is %+v: it was not signed again", owner)
	}
	k.opensAll(k.ann)
	a := k.open(k.ann)
	if stale, err := a.sealer().Stale(t.Context(), a.Lock()); err != nil || len(stale) > 0 {
		t.Errorf("seals that were signed again are out of date: %v, %v", stale, err)
	}
}
