package startup

import (
	"context"
	"errors"
	"sync"
)

// What stacks wait for, next to one another.
const (
	needData   = "data"   // what data is restored with is installed
	needEngine = "engine" // Docker answers, and the networks are there
	needMounts = "mounts" // what is mounted from elsewhere was tried
	needHost   = "host"   // the host is prepared

	needPackages = "packages" // what the host needs is installed and runs
	needTailnet  = "tailnet"  // the host joined the tailnet, or it was tried
)

// NeedStack is that another stack of the run is up.
func NeedStack(name string) string { return "stack " + name }

// errUnmet is wrapped by the failure of a prerequisite.
var errUnmet = errors.New("did not start")

// Prerequisites are things by name that the parts of a run wait for. Each is met
// once, or fails permanently. Its methods may be called at any time.
type Prerequisites struct {
	mu  sync.Mutex // guards all
	all map[string]*prerequisite
}

type prerequisite struct {
	over chan struct{} // closed when it is met or has failed
	err  error         // why it failed; written before over is closed
}

func (p *Prerequisites) get(name string) *prerequisite {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]*prerequisite{}
	}
	one := p.all[name]
	if one == nil {
		one = &prerequisite{over: make(chan struct{})}
		p.all[name] = one
	}
	return one
}

// Meet says that something is there or, with an error, that it will not be. Only the
// first call for a name counts.
func (p *Prerequisites) Meet(name string, err error) {
	one := p.get(name)
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-one.over:
	default:
		one.err = err
		close(one.over)
	}
}

// Need waits until all of these are there. It returns why one has failed, or the
// error of ctx.
func (p *Prerequisites) Need(ctx context.Context, names ...string) error {
	for _, name := range names {
		one := p.get(name)
		select {
		case <-one.over:
			if one.err != nil {
				return one.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Failure returns why something failed, nil while it has not.
func (p *Prerequisites) Failure(name string) error {
	one := p.get(name)
	select {
	case <-one.over:
		return one.err
	default:
		return nil
	}
}
