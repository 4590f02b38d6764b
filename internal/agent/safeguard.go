package agent

import (
	"context"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// safeguard takes a snapshot of a running stack before its images change: a new
// version may migrate its data, and then only the old data fits the old version.
func (r *run) safeguard(ctx context.Context, st agentapi.Stack, d stack.Deployment) error {
	if len(r.protected(st)) == 0 {
		return nil
	}
	seen, err := r.Stacks.Observe(ctx, st.Name)
	if noEngine(err) {
		return nil
	}
	if err != nil || !seen[0].Running() {
		return err
	}
	changed := imageChange(seen[0].Record, d)
	if changed == "" {
		return nil
	}
	progress.Scope{Sink: r.sink, Stack: st.Name}.Note(changed + ": a snapshot comes first")
	if _, err := r.takeLocked(ctx, r.spec, st, taking{sink: r.sink}); err != nil {
		return fmt.Errorf("%s, and the snapshot before it failed: %w", changed, err)
	}
	return nil
}

// imageChange says which service gets another image than it runs with, "" for
// none. A service that is built is not compared: its image has no digest.
func imageChange(ran stack.Record, d stack.Deployment) string {
	for _, s := range d.Project.Services {
		before, ok := ran.Images[s.Name]
		if !ok || s.Build {
			continue
		}
		now := s.Reference(d.Images)
		if agentapi.Tagged(before) != agentapi.Tagged(now) || agentapi.Digested(now) && now != before {
			return fmt.Sprintf("the image of %s changes", s.Name)
		}
	}
	return ""
}
