package app

import (
	"maps"
	"slices"
	"sync"
)

// A trail is what a command decrypted, by name.
type trail struct {
	mu     sync.Mutex // guards opened
	opened map[string]bool
}

func (t *trail) add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened == nil {
		t.opened = map[string]bool{}
	}
	t.opened[name] = true
}

// take returns the names so far, sorted, and starts again.
func (t *trail) take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.Sorted(maps.Keys(t.opened))
	t.opened = nil
	return names
}
