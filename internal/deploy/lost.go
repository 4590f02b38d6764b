package deploy

import (
	"context"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/hostlink"
	"salvor/internal/progress"
)

// reachWithin is how long a lost host gets to accept a connection.
const reachWithin = 5 * time.Second

// ReachLost begins to reach for the host that is lost, which may be alive anyway, and
// returns what waits for the outcome: nil when it does not answer. A host that is
// replaced under its own name is not reached: its address is the new one's.
func (r *Run) ReachLost(ctx context.Context) (wait func() *hostlink.Link) {
	h, declared := r.Fleet.Host(r.Lost)
	if !declared || r.Replaced {
		return func() *hostlink.Link { return nil }
	}
	reached := make(chan *hostlink.Link, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, reachWithin)
		defer cancel()
		link, err := r.dial(ctx, h)
		if err != nil {
			link = nil
		}
		reached <- link
	}()
	return func() *hostlink.Link { return <-reached }
}

// Fence has the lost host stop what was taken from it, where it was reached (link is nil
// where not), and waits for its answer. Where it can't, the stacks start elsewhere when it
// must have stopped them on its own. The claims are visible by then.
func (r *Run) Fence(ctx context.Context, link *hostlink.Link) {
	if r.Lost == "" || len(r.due.fence) == 0 {
		return
	}
	claimed := time.Now()
	req := agentapi.Fence{Stacks: map[string]int{}, Owner: r.Owner, Message: string(r.Kind) + " " + r.Lost}
	stopped := map[string]bool{}
	for _, f := range r.due.fence {
		if f.host == r.Lost {
			req.Stacks[f.stack] = f.next
		}
	}
	if link != nil {
		err := r.phase(ctx, "stop the lost host", func() error {
			ctx, cancel := context.WithTimeout(ctx, r.Lease)
			defer cancel()
			return r.call(ctx, link, agentapi.VerbFence, req, &agentapi.Fenced{})
		})
		for name := range req.Stacks {
			stopped[name] = err == nil
		}
	}
	r.free = map[string]time.Time{}
	for _, f := range r.due.fence {
		if f.host != r.Lost || !stopped[f.stack] {
			r.free[f.stack] = claimed.Add(r.Lease)
		}
	}
	if len(r.free) == 0 {
		r.Leave(fmt.Sprintf("%s has stopped its stacks and keeps their data; if it is gone permanently: %s", r.Lost, r.Fleet.Leave(r.Lost)))
		return
	}
	progress.Scope{Sink: r.Sink, Host: r.Fleet.Name}.Note(fmt.Sprintf("%s did not answer the request to stop: the stacks "+
		"start %s after the claim; by then it has stopped them if it can reach Git or the remote", r.Lost, r.Lease))
	r.Leave(fmt.Sprintf("%s did not answer the request to stop: if it still runs and can reach neither Git nor the "+
		"remote, it keeps running the stacks until it reaches one of them, and then for at most %s", r.Lost, r.Lease))
	if !r.Replaced {
		r.Leave(fmt.Sprintf("if %s is gone permanently: %s", r.Lost, r.Fleet.Leave(r.Lost)))
	}
}

// waits is how long from now stacks of a request may still run on a former host.
func (r *Run) waits(stacks []agentapi.Stack) map[string]time.Duration {
	var wait map[string]time.Duration
	for _, st := range stacks {
		if left := time.Until(r.free[st.Name]); left > 0 {
			if wait == nil {
				wait = map[string]time.Duration{}
			}
			wait[st.Name] = left
		}
	}
	return wait
}
