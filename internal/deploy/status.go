package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/placement"
)

// HostStatus is what a host reports, or why it does not answer.
type HostStatus struct {
	Host   string             `json:"host"`
	State  agentapi.HostState `json:"state"`
	Error  string             `json:"error,omitempty"`
	Hint   string             `json:"hint,omitempty"`   // the next command, for a host that does not answer
	Placed []string           `json:"placed,omitempty"` // the stacks of a host that does not answer, by name

	Newest map[string]LastSnapshot `json:"newest,omitempty"` // the newest snapshots of these, as far as they are known
}

// LastSnapshot is the newest snapshot of a stack whose host does not answer.
type LastSnapshot struct {
	At   time.Time `json:"at"`             // when it was read back
	From string    `json:"from,omitempty"` // the host that found it on the record; "" where only salvor.lock was asked, and a newer one may exist
}

// Status asks every host at once how its stacks are.
func (s *Session) Status(ctx context.Context) []HostStatus {
	all := make([]HostStatus, len(s.Fleet.Hosts))
	var names []string
	for i, h := range s.Fleet.Hosts {
		all[i].Host = h.Name
		names = append(names, h.Name)
	}
	askEach(s.Sink, names, func(i int) {
		h := &all[i]
		if err := s.Call(ctx, h.Host, agentapi.VerbStatus, s.placedOn(h.Host), &h.State); err != nil {
			h.Error, h.Placed, h.Hint = err.Error(), s.Lock.On(h.Host), s.nextCommand(h.Host, err)
		}
	})
	findNewest(ctx, s, all)
	return all
}

// findNewest finds out how old the newest snapshots are of stacks whose hosts do not
// answer: from the record, which another host can read, else from salvor.lock.
func findNewest(ctx context.Context, s *Session, all []HostStatus) {
	asked := agentapi.AskNewest{Stacks: map[string]int{}}
	for _, h := range all {
		for _, stack := range h.Placed {
			asked.Stacks[stack] = s.Lock.Stacks[stack].Epoch
		}
	}
	if len(asked.Stacks) == 0 {
		return
	}
	known, from := askRecord(ctx, s, all, asked)
	for i := range all {
		all[i].Newest = map[string]LastSnapshot{}
		for _, stack := range all[i].Placed {
			last := LastSnapshot{From: from}
			if p, found := known[stack]; found {
				last.At = p.At
			} else if from == "" {
				last.At = lockedAt(s.Lock.Stacks[stack])
			}
			if !last.At.IsZero() {
				all[i].Newest[stack] = last
			}
		}
	}
}

// askRecord asks the hosts that answer, one after the other, until one has read the record.
func askRecord(ctx context.Context, s *Session, all []HostStatus, asked agentapi.AskNewest) (known map[string]agentapi.ProvenSnapshot, from string) {
	for _, h := range all {
		if h.Error != "" {
			continue
		}
		var answer agentapi.Newest
		if err := s.Call(ctx, h.Host, agentapi.VerbNewest, asked, &answer); err == nil {
			return answer.Stacks, h.Host
		}
	}
	return nil, ""
}

// lockedAt is when salvor.lock learned of the newest snapshot that it knows, zero for none.
func lockedAt(p fleet.Placement) time.Time {
	var newest fleet.Proven
	for _, id := range p.Repositories {
		if one := p.Proven[id]; one.Newer(newest) {
			newest = one
		}
	}
	return newest.At
}

// placedOn is the question how a host's stacks are.
func (s *Session) placedOn(host string) agentapi.Observe {
	asked := agentapi.Host{Name: host}
	for _, name := range s.Lock.On(host) {
		asked.Stacks = append(asked.Stacks, agentapi.Stack{Name: name, Epoch: s.Lock.Stacks[name].Epoch})
	}
	return agentapi.Observe{Host: asked}
}

// nextCommand is the next command for a host that did not answer.
func (s *Session) nextCommand(host string, err error) string {
	hint := fault.Hint(err)
	if answer, is := errors.AsType[*agentapi.Error](err); is && hint == "" {
		hint = answer.Hint
	}
	if !errors.Is(err, machine.ErrUnreachable) || len(s.Lock.On(host)) == 0 {
		return hint
	}
	return fmt.Sprintf("if %s is lost permanently: salvor recover %s --to HOST", host, host)
}

// Call runs one verb on a declared host.
func (s *Session) Call(ctx context.Context, host, verb string, req, resp any) error {
	h, err := placement.Host(s.Fleet, host)
	if err != nil {
		return err
	}
	link, err := s.dial(ctx, h)
	if err != nil {
		return err
	}
	return s.call(ctx, link, verb, req, resp)
}

// call runs a verb and names the host in what went wrong.
func (s *Session) call(ctx context.Context, link *hostlink.Link, verb string, req, resp any) error {
	err := link.Call(ctx, verb, req, resp)
	var answer *agentapi.Error
	if errors.As(err, &answer) {
		return fault.WithCode(fmt.Errorf("%s: %w", link.Host, err), answer.Code)
	}
	return err
}
