package keeper

import (
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
)

// TestS14WhatLastsIsSaid: a snapshot that lasts is a finding until it ends. What is not
// a snapshot, or has ended, is not a finding.
func TestS14WhatLastsIsSaid(t *testing.T) {
	t.Parallel()
	h := &here.Host{Paths: hostpath.Layout{Run: t.TempDir()}}
	lock, err := h.LockStack(t.Context(), "notes", here.Daemon, takingSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	start, err := h.LockStack(t.Context(), "shop", here.Daemon, "start after a boot")
	if err != nil {
		t.Fatal(err)
	}
	defer start.Release()
	now, later := time.Now(), time.Now().Add(TakerTurn+time.Second)
	if got := New(h).Lasting("alpha", "notes", now); len(got) > 0 {
		t.Errorf("at once: %+v", got)
	}
	if got := New(h).Lasting("alpha", "notes", later); len(got) != 1 || got[0].Code != finding.SnapshotLasts || got[0].Subject != "alpha/notes" {
		t.Errorf("later: %+v", got)
	}
	if got := New(h).Lasting("alpha", "shop", later); len(got) > 0 {
		t.Errorf("a start: %+v", got)
	}
	lock.Release()
	if got := New(h).Lasting("alpha", "notes", later); len(got) > 0 {
		t.Errorf("after its end: %+v", got)
	}
}
