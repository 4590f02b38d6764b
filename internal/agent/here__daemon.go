package agent

import (
	"context"

	"salvor/internal/journal"
)

// freePorts has Docker let go of ports that it kept over a power cut. Where that
// fails the stacks are started all the same: most need none of those ports, and
// one that does says what to do.
func (h *base) freePorts(ctx context.Context) {
	switch freed, err := h.Stacks.FreePorts(ctx); {
	case err != nil:
		h.trouble("ports", err)
	case freed:
		h.record(journal.Entry{Kind: "ports", Text: "Docker kept ports over a power cut that no container has: restarted it"})
	}
}

// trouble writes what could not be done into the journal.
func (h *base) trouble(kind string, err error) {
	h.record(journal.Entry{Kind: kind, Error: err.Error()})
}
