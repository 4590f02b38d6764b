package agent

import (
	"fmt"

	"salvor/internal/fault"
	"salvor/internal/snapshot"
)

// placed returns a stack of the host's spec.
func (h *base) placed(name string) (*Stack, error) {
	spec, err := h.Spec()
	if err != nil {
		return nil, err
	}
	for _, st := range spec.Stacks {
		if st.Name == name {
			return h.at(spec, st), nil
		}
	}
	return nil, fault.WithHint(fmt.Errorf("stack %s is not placed on %s", name, spec.Name), "salvor status")
}

// allReady refuses a snapshot of data that is not the stack's: it would become
// the newest.
func (s *Stack) allReady() error {
	facts, unready, err := s.facts()
	if err != nil || !unready {
		return err
	}
	for _, v := range s.protected() {
		f := facts[v.Name]
		if d := snapshot.Decide(f); d.Action != snapshot.Ready {
			return fault.WithHint(fmt.Errorf("stack %s: volume %s is not ready here (%s), so there is nothing to take", s.Name, v.Name, f.Found), "salvor plan says why, and what salvor apply does about it")
		}
	}
	return nil
}
