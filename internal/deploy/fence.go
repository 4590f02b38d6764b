package deploy

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/hostlink"
	"salvor/internal/progress"
)

// reachWithin is how long a lost host gets to let somebody in.
const reachWithin = 5 * time.Second

// reachLost begins to reach for the host that is lost, which may be alive all the
// same, and returns what waits for the outcome: nil when it does not answer. A host
// that is replaced under its own name is not reached: its address is the new one's.
func (s *Session) reachLost(ctx context.Context, o Options) (wait func() *hostlink.Link) {
	h, declared := s.Fleet.Host(o.Lost)
	if !declared || o.Replaced {
		return func() *hostlink.Link { return nil }
	}
	reached := make(chan *hostlink.Link, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, reachWithin)
		defer cancel()
		link, err := s.Hosts.Dial(ctx, h)
		if err != nil {
			link = nil
		}
		reached <- link
	}()
	return func() *hostlink.Link { return <-reached }
}

// fence tells the lost host to stop what was taken from it, where it can be
// reached, and waits for its answer. Where it can't, the stacks start elsewhere when
// it must have stopped them by itself. The claims are visible.
func (s *Session) fence(ctx context.Context, r *Receipt, t takeover, o Options, link *hostlink.Link) {
	if o.Lost == "" || len(t.fence) == 0 {
		return
	}
	claimed := time.Now()
	req := agentapi.Fence{Stacks: map[string]int{}, Owner: s.Owner, Message: o.Kind + " " + o.Lost}
	stopped := map[string]bool{}
	for _, f := range t.fence {
		if f.host == o.Lost {
			req.Stacks[f.stack] = f.next
		}
	}
	if link != nil {
		err := s.phase(ctx, r, "fence", func() error {
			ctx, cancel := context.WithTimeout(ctx, s.Lease)
			defer cancel()
			return s.call(ctx, link, agentapi.VerbFence, req, &agentapi.Fenced{})
		})
		for name := range req.Stacks {
			stopped[name] = err == nil
		}
	}
	s.free = map[string]time.Time{}
	for _, f := range t.fence {
		if f.host != o.Lost || !stopped[f.stack] {
			s.free[f.stack] = claimed.Add(s.Lease)
		}
	}
	if len(s.free) == 0 {
		r.Pending = append(r.Pending, fmt.Sprintf("%s has stopped its stacks and keeps their data; if it is gone permanently: salvor host remove %s", o.Lost, o.Lost))
		return
	}
	progress.Scope{Sink: s.Sink, Host: s.Fleet.Name}.Note(fmt.Sprintf("%s did not answer the request to stop: the stacks "+
		"start %s after the claim; by then it has stopped them if it can reach Git or the remote", o.Lost, s.Lease))
	r.Pending = append(r.Pending, fmt.Sprintf("%s did not answer the request to stop: if it still runs and can reach "+
		"neither Git nor the remote, it keeps running the stacks until it reaches one of them, and then for at most %s", o.Lost, s.Lease))
	if !o.Replaced {
		r.Pending = append(r.Pending, fmt.Sprintf("if %s is gone permanently: salvor host remove %s", o.Lost, o.Lost))
	}
}

// waits is how long from now stacks of a request may still run on a former host.
func (s *Session) waits(stacks []agentapi.Stack) map[string]time.Duration {
	var wait map[string]time.Duration
	for _, st := range stacks {
		if left := time.Until(s.free[st.Name]); left > 0 {
			if wait == nil {
				wait = map[string]time.Duration{}
			}
			wait[st.Name] = left
		}
	}
	return wait
}
