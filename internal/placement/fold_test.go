package placement

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

func TestFold(t *testing.T) {
	first, later := time.Unix(100, 0).UTC(), time.Unix(200, 0).UTC()
	placement := fleet.Placement{Host: "alpha", Epoch: 2, Images: map[string]string{"web": "old"}, Volumes: map[string]fleet.VolumeState{"known": {Born: first}}}
	lock := fleet.Lock{Schema: 1, Stacks: map[string]fleet.Placement{"notes": placement, "other": {Host: "beta", Epoch: 1}}}
	facts := []Learned{
		{Epoch: 1, Host: "alpha", Images: map[string]string{"web": "of an older epoch"}, Born: map[string]time.Time{"stale": first}},
		{Epoch: 2, Host: "beta", Images: map[string]string{"web": "of another host"}},
		{Epoch: 2, Host: "alpha", Images: map[string]string{"web": "new", "db": "pg@sha256:2"}, Born: map[string]time.Time{"db": first, "known": later}},
		{Epoch: 2, Host: "alpha", Images: map[string]string{"web": "newest@sha256:1"}, Born: map[string]time.Time{"db": later}},
		{Epoch: 3, Host: "alpha", Images: map[string]string{"web": "of a newer epoch"}},
	}
	want := fleet.Placement{Host: "alpha", Epoch: 2, Images: map[string]string{"web": "newest@sha256:1", "db": "pg@sha256:2"},
		Volumes: map[string]fleet.VolumeState{"known": {Born: first}, "db": {Born: first}}}
	got := Fold(lock, "notes", facts...)
	if diff := cmp.Diff(want, got.Stacks["notes"]); diff != "" {
		t.Errorf("Fold (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(got, Fold(got, "notes", facts...)); diff != "" {
		t.Errorf("folding twice changes it:\n%s", diff)
	}
	if lock.Stacks["notes"].Images["web"] != "old" || len(lock.Stacks["notes"].Volumes) != 1 {
		t.Error("Fold changed its argument")
	}
	if diff := cmp.Diff(lock, Fold(lock, "unknown", facts...)); diff != "" {
		t.Errorf("a stack without a placement was changed:\n%s", diff)
	}
}

// TestS05AFactDoesNotBrickTheLock: what a host signs about its own stack, and no lock
// can have, is left out: it would keep every host's facts from being committed.
func TestS05AFactDoesNotBrickTheLock(t *testing.T) {
	var odd time.Time
	if err := odd.UnmarshalText([]byte("0000-01-01T00:00:00+23:59")); err != nil {
		t.Fatal(err)
	}
	was := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2}}}
	good := time.Unix(5, 0).UTC()
	p := Fold(was, "notes", Learned{Host: "beta", Epoch: 2,
		Images: map[string]string{"web": "nginx:1", "db": "db:1@sha256:aa"},
		Born:   map[string]time.Time{"a": {}, "b": odd, "c": good},
	}).Stacks["notes"]
	if len(p.Images) != 1 || p.Images["db"] == "" || len(p.Volumes) != 1 || p.Volumes["c"].Born != good {
		t.Errorf("the lock learned %+v", p)
	}
}

// TestAReceiptIsTheWhole: a service that a stack no longer has leaves the lock with the
// receipt of the deploy that dropped it; a fact of another service does not take it out.
func TestAReceiptIsTheWhole(t *testing.T) {
	t.Parallel()
	was := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2, Images: map[string]string{"web": "web:1@sha256:a", "old": "old:1@sha256:b"}}}}
	for name, c := range map[string]struct {
		said Learned
		want map[string]string
	}{
		"a receipt":       {Learned{Images: map[string]string{"web": "web:2@sha256:c"}, Whole: true}, map[string]string{"web": "web:2@sha256:c"}},
		"one of no image": {Learned{Whole: true}, map[string]string{"web": "web:1@sha256:a", "old": "old:1@sha256:b"}},
		"a fact":          {Learned{Images: map[string]string{"web": "web:2@sha256:c"}}, map[string]string{"web": "web:2@sha256:c", "old": "old:1@sha256:b"}},
	} {
		c.said.Host, c.said.Epoch = "beta", 2
		if diff := cmp.Diff(c.want, Fold(was, "notes", c.said).Stacks["notes"].Images); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestS03WhatWasProvenIsFoldedIntoTheLock: an apply writes down how far snapshots have
// come by the record. What the record forgot, or says of an epoch or a repository that
// is not the placement's, changes nothing.
func TestS03WhatWasProvenIsFoldedIntoTheLock(t *testing.T) {
	t.Parallel()
	at, before := time.Unix(2000, 0).UTC(), time.Unix(1000, 0).UTC()
	proven := func(epoch, seq int, at time.Time) fleet.Proven {
		return fleet.Proven{Epoch: epoch, Seq: seq, ID: "x", At: at}
	}
	p := fleet.Placement{Host: "alpha", Epoch: 2, Repositories: map[string]string{"nas": "b"}, Former: map[string][]string{"nas": {"a"}}}
	for name, c := range map[string]struct{ was, said, want map[string]fleet.Proven }{
		"nothing":            {},
		"the first":          {nil, map[string]fleet.Proven{"b": proven(2, 1, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 1, at)}},
		"a newer one":        {map[string]fleet.Proven{"b": proven(1, 9, before)}, map[string]fleet.Proven{"b": proven(2, 1, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 1, at)}},
		"forgotten":          {map[string]fleet.Proven{"b": proven(2, 5, before)}, nil, map[string]fleet.Proven{"b": proven(2, 5, before)}},
		"gone back":          {map[string]fleet.Proven{"b": proven(2, 5, before)}, map[string]fleet.Proven{"b": proven(2, 4, time.Time{})}, map[string]fleet.Proven{"b": proven(2, 5, before)}},
		"a later epoch":      {nil, map[string]fleet.Proven{"b": proven(3, 1, time.Time{})}, nil},
		"another repository": {map[string]fleet.Proven{"gone": proven(1, 1, before)}, map[string]fleet.Proven{"c": proven(1, 1, time.Time{})}, nil},
		"a former one":       {nil, map[string]fleet.Proven{"a": proven(1, 7, time.Time{})}, map[string]fleet.Proven{"a": proven(1, 7, at)}},
	} {
		p.Proven = c.was
		if diff := cmp.Diff(c.want, Prove(fleet.Lock{Stacks: map[string]fleet.Placement{"notes": p}}, "notes", c.said, at).Stacks["notes"].Proven); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
