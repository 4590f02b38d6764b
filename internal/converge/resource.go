// Package converge makes a host match a list of resources: observe once, plan purely,
// execute without deciding. It knows no kinds of resources; those are in package
// resource.
package converge

import (
	"context"

	"salvor/internal/machine/observe"
)

// A Resource is one thing that should be in a certain state on a host. Its ID is a
// kind and a name, "file /etc/docker/daemon.json", unique within a plan.
type Resource interface {
	ID() string
	Links() Links
	// Diff says what would have to change, or nil when all is right. It changes
	// nothing, and is asked twice: for the plan, and right before its change is
	// applied. What can't be right yet because another resource comes first is not an
	// error but a cause ("nginx.service is not there yet").
	Diff(ctx context.Context, h *observe.Host) (*Change, error)
}

// Links are the relations of a resource to others and to the host.
type Links struct {
	Needs   []string // ids that must be right first; each is part of the plan
	After   []string // ids that come first where they are part of the plan
	Follows []string // as After; when one of them changes, this one is asked again after it
	Looks   observe.Query
}

// An Action says in one character what a change does.
type Action string

// The actions.
const (
	Makes   Action = "+"
	Changes Action = "~"
	Removes Action = "-"
)

// A Change makes one resource right. ID is filled in by the plan. Destroys
// names the data that may be lost, "" for none. Seen is not for people. Everything but Restarts and
// Apply crosses the wire and enters the fingerprint.
type Change struct {
	ID       string `json:"id"`
	Action   Action `json:"action"`
	Cause    string `json:"cause"`          // "mode is 0644, want 0600"
	Seen     string `json:"seen,omitempty"` // what is there and what is wanted, where the cause does not name it: digests
	Destroys string `json:"destroys,omitempty"`
	// Restarts says that something is restarted which runs.
	Restarts bool `json:"-"`
	// Apply makes it so. It may be called again after it was interrupted, once Diff
	// was asked again. It reports how it gets on by say.
	Apply func(ctx context.Context, say func(text string)) error `json:"-"`
}
