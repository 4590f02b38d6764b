package deploy

import (
	"errors"
	"sync"
)

// group runs functions at once and joins all their errors: one host's failure
// does not cut another's work short.
type group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// Go starts f.
func (g *group) Go(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.errs = append(g.errs, err)
		}
	})
}

// Wait returns the errors of all functions, joined.
func (g *group) Wait() error {
	g.wg.Wait()
	return errors.Join(g.errs...)
}
