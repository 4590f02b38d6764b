package publishing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// errNoRight ends a pass: a stack is not known to be this host's any more.
var errNoRight = errors.New("this host has no right to change it")

// A gate lets a request that changes something through only while the host may change what is
// outside it, for every owner of the pass that runs. A request without a pass is refused.
type gate struct {
	next http.RoundTripper

	mu   sync.Mutex // guards what follows
	may  func(context.Context) error
	stop context.CancelCauseFunc
}

// open begins a pass and returns its context; end ends it.
func (g *gate) open(ctx context.Context, may func(context.Context) error) (pass context.Context, end func()) {
	pass, stop := context.WithCancelCause(ctx)
	g.set(may, stop)
	return pass, func() {
		g.set(nil, nil)
		stop(nil)
	}
}

func (g *gate) set(may func(context.Context) error, stop context.CancelCauseFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.may, g.stop = may, stop
}

// RoundTrip implements http.RoundTripper.
func (g *gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		if err := g.check(r.Context()); err != nil {
			return nil, err
		}
	}
	return g.next.RoundTrip(r)
}

// check asks whether the host may, and ends the pass where it may not.
func (g *gate) check(ctx context.Context) error {
	g.mu.Lock()
	may, stop := g.may, g.stop
	g.mu.Unlock()
	if may == nil {
		return errNoRight
	}
	err := may(ctx)
	if err != nil {
		err = fmt.Errorf("%w: %w", errNoRight, err)
		stop(err)
	}
	return err
}
