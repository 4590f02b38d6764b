// Package agent is what a host does: become what a commit says, restore before
// it starts, check that its stacks are still its own, take snapshots. Every verb
// of salvord and its daemon are methods of Host.
package agent

import (
	"context"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
)

// Host is this host. Its methods may be called from several processes: runs
// that change something hold a lock.
type Host here.Host

func (h *Host) base() *here.Host { return (*here.Host)(h) }

func (h *Host) keeper() *keeper.Keeper { return keeper.New(h.base()) }

// Spec returns what the host was last asked to be; an unprepared host was asked for
// nothing.
func (h *Host) Spec() (agentapi.Host, error) { return h.base().ReadSpec() }

// Trusted returns the fleet's signing keys that this host trusts. A host without one
// is an error.
func (h *Host) Trusted() (sign.Keys, error) { return h.base().Trusted() }

// Resume has every stack go on that a snapshot left paused when its process died. It
// may be called at any time.
func (h *Host) Resume(ctx context.Context) error { return h.keeper().Resume(ctx) }

// Quiescer returns what pauses and resumes one stack.
func (h *Host) Quiescer(stack string) snapshot.Quiescer { return h.keeper().Quiescer(stack) }

// ListSnapshots lists a placed stack's snapshots as they lie on its targets, and the
// newest one that was proven where a target lacks it.
func (h *Host) ListSnapshots(ctx context.Context, req agentapi.Snapshots, _ progress.Sink) (agentapi.SnapshotList, error) {
	return h.keeper().ListSnapshots(ctx, req.Stack)
}
