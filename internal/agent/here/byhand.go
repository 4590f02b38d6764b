package here

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"salvor/internal/progress"
)

// ByHand are the services of a stack that someone stopped by hand. They stay stopped, also
// over a boot, until someone starts them or the stack is deployed again.
type ByHand struct {
	host  *Host
	stack string
}

// byHandNote is what the host remembers of them.
type byHandNote struct {
	stamp
	Services map[string]time.Time `json:"services"` // since when
}

// ByHand returns the services of a stack that were stopped by hand.
func (h *Host) ByHand(stack string) ByHand { return ByHand{h, stack} }

func (b ByHand) path() string { return b.host.Paths.ByHand(b.stack) }

// Services are their names, sorted.
func (b ByHand) Services() []string {
	return slices.Sorted(maps.Keys(readNote[byHandNote](b.path()).Services))
}

// Note notes that a service is stopped by hand.
func (b ByHand) Note(service string) error {
	n := readNote[byHandNote](b.path())
	if n.Services == nil {
		n.Services = map[string]time.Time{}
	}
	n.Services[service] = time.Now().UTC()
	return writeNote(b.path(), &n)
}

// Forget forgets that services were stopped by hand, all of the stack for none. A note that
// can't be changed keeps nothing from starting.
func (b ByHand) Forget(services ...string) {
	n := readNote[byHandNote](b.path())
	for _, service := range services {
		delete(n.Services, service)
	}
	var err error
	if len(services) == 0 || len(n.Services) == 0 {
		err = os.Remove(b.path())
	} else {
		err = writeNote(b.path(), &n)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.host.Trouble("byhand", err)
	}
}

// StartOthers starts the stack as it was deployed last, but for these.
func (b ByHand) StartOthers(ctx context.Context, sink progress.Sink) error {
	return b.host.Stacks.Start(ctx, b.stack, b.Services(), sink)
}
