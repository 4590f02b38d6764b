package identity

import (
	"maps"
	"slices"
	"sync"
)

// A trail is what a command decrypted, by name.
type Trail struct {
	mu     sync.Mutex // guards opened
	opened map[string]bool
}

// Add notes that something was decrypted.
func (t *Trail) Add(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened == nil {
		t.opened = map[string]bool{}
	}
	t.opened[name] = true
}

// Take returns the names so far, sorted, and begins again.
func (t *Trail) Take() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	names := slices.Sorted(maps.Keys(t.opened))
	t.opened = nil
	return names
}
