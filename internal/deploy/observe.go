package deploy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
)

// Observe asks every host at once what it is like and what would change there
// if lock were in force. Nothing is written anywhere. A host that can't be
// reached, or that has no salvord yet, is an observation that says so.
func (s *Session) Observe(ctx context.Context, lock fleet.Lock) map[string]Observation {
	var names []string
	for _, h := range s.Fleet.Hosts {
		names = append(names, h.Name)
	}
	return s.ObserveSome(ctx, lock, names...)
}

// ObserveSome is Observe for some hosts.
func (s *Session) ObserveSome(ctx context.Context, lock fleet.Lock, names ...string) map[string]Observation {
	under := map[string]fleet.Lock{}
	for _, name := range names {
		under[name] = lock
	}
	return ObserveUnder(ctx, s, under)
}

// ObserveUnder is Observe for some hosts, with the lock of each.
func ObserveUnder(ctx context.Context, s *Session, locks map[string]fleet.Lock) map[string]Observation {
	seen := map[string]Observation{}
	var mu sync.Mutex
	var hosts []fleet.Host
	var asked []string
	for _, h := range s.Fleet.Hosts {
		if _, asks := locks[h.Name]; asks {
			hosts, asked = append(hosts, h), append(asked, h.Name)
		}
	}
	askEach(s.Sink, asked, func(i int) {
		o := s.observeHost(ctx, hosts[i], locks[hosts[i].Name])
		mu.Lock()
		defer mu.Unlock()
		seen[hosts[i].Name] = o
	})
	return seen
}

func (s *Session) observeHost(ctx context.Context, h fleet.Host, lock fleet.Lock) Observation {
	spec, err := s.spec(h, lock, s.Commit)
	if err != nil {
		return Observation{Err: err}
	}
	link, err := s.dial(ctx, h)
	if err != nil {
		return Observation{Err: err}
	}
	var state agentapi.HostState
	own := link.Carrier.Version()
	err = link.Call(ctx, agentapi.VerbObserve, agentapi.Observe{Host: spec, Devices: devices(s.Stacks, spec.Stacks)}, &state)
	if errors.Is(err, hostlink.ErrNoSalvord) {
		if other, has := errors.AsType[*hostlink.ProtocolError](err); has {
			state.Salvord = other.There
		}
		return Observation{State: state, New: true, Own: own}
	}
	state.Findings = append(state.Findings, s.otherMachine(h.Name, agentapi.HostKeys{Recipient: state.Recipient, Signer: state.Signer})...)
	return Observation{State: state, Own: own, Err: err}
}

// ErrUnreachableHosts means that the plan could not see every host.
var ErrUnreachableHosts = errors.New("not every host could be reached")

// Complete returns an error that names the hosts which did not answer, or nil.
func (p *Plan) Complete() error {
	var missing []string
	for _, h := range p.Hosts {
		if h.Unreachable != "" {
			missing = append(missing, h.Host+": "+h.Unreachable)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrUnreachableHosts, strings.Join(missing, "; "))
}
