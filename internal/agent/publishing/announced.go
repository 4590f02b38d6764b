package publishing

import (
	"sync"

	"salvor/internal/agentapi"
)

// announced is what applies on this host have said.
type announced struct {
	mu      sync.Mutex // guards what follows
	deploys map[*deploys]bool
	asks    []ask
	said    bool // something was announced since the last look
}

// deploys are stacks that one apply deploys.
type deploys struct{ stacks []string }

// An ask is an apply that waits for a pass.
type ask struct {
	shown  bool
	answer chan agentapi.RouteList // takes one without waiting
}

// deploying returns the stacks that are deployed now.
func (a *announced) deploying() map[string]bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := map[string]bool{}
	for d := range a.deploys {
		for _, stack := range d.stacks {
			all[stack] = true
		}
	}
	return all
}

// heard reports whether something was announced since it was called last.
func (a *announced) heard() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	was := a.said
	a.said = false
	return was
}

// take returns the applies that wait, once.
func (a *announced) take() []ask {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.asks
	a.asks = nil
	return all
}

// Deploying has the routes of stacks be wanted, whether containers run or not, until end is
// called: a deploy has begun.
func (d *Daemon) Deploying(stacks []string) (end func()) {
	one := &deploys{stacks}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.deploys == nil {
		d.deploys = map[*deploys]bool{}
	}
	d.deploys[one], d.said = true, true
	d.signal.Now()
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.deploys, one)
		d.signal.Now()
	}
}

// Ask has a pass begin now, and returns what receives how it ended. shown says that an apply
// has shown all that goes.
func (d *Daemon) Ask(shown bool) <-chan agentapi.RouteList {
	one := ask{shown, make(chan agentapi.RouteList, 1)}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asks = append(d.asks, one)
	d.signal.Now()
	return one.answer
}
