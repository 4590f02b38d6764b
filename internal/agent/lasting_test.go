package agent

import (
	"testing"
	"time"

	"salvor/internal/finding"
	"salvor/internal/hostpath"
)

// TestS14WhatLastsIsSaid: a snapshot that lasts is a finding until it ends. What is not
// a snapshot, or has ended, is not a finding.
func TestS14WhatLastsIsSaid(t *testing.T) {
	t.Parallel()
	h := &Host{Paths: hostpath.Layout{Run: t.TempDir()}}
	lock, err := h.base().lockStack(t.Context(), "notes", daemon, takingIt)
	if err != nil {
		t.Fatal(err)
	}
	start, err := h.base().lockStack(t.Context(), "shop", daemon, "start after a boot")
	if err != nil {
		t.Fatal(err)
	}
	defer start.Release()
	now, later := time.Now(), time.Now().Add(takerTurn+time.Second)
	if got := h.keeper().lasting("alpha", "notes", now); len(got) > 0 {
		t.Errorf("at once: %+v", got)
	}
	if got := h.keeper().lasting("alpha", "notes", later); len(got) != 1 || got[0].Code != finding.SnapshotLasts || got[0].Subject != "alpha/notes" {
		t.Errorf("later: %+v", got)
	}
	if got := h.keeper().lasting("alpha", "shop", later); len(got) > 0 {
		t.Errorf("a start: %+v", got)
	}
	lock.Release()
	if got := h.keeper().lasting("alpha", "notes", later); len(got) > 0 {
		t.Errorf("after its end: %+v", got)
	}
}
