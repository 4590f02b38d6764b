package placement

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fleet"
)

// TestEachChange has what each function changes of a stack, and that it changes nothing
// else and not the lock that it was given.
func TestEachChange(t *testing.T) {
	t.Parallel()
	born := map[string]fleet.VolumeState{"data": {Born: time.Unix(1, 0)}, "old": {Born: time.Unix(2, 0)}}
	lock := func() fleet.Lock {
		return fleet.Lock{Schema: fleet.Schema, Record: fleet.Location{Remote: "nas"}, Stacks: map[string]fleet.Placement{
			"blog": {Host: "beta", Epoch: 1, Called: "site"},
			"notes": {Host: "alpha", Epoch: 2, Stopped: true, Images: map[string]string{"web": "a"}, Volumes: born,
				Restore: &fleet.Restore{ID: "x", Epoch: 2, Snapshot: "s"}, Repositories: map[string]string{"nas": "r1"}},
		}}
	}
	for name, c := range map[string]struct {
		change func(fleet.Lock) fleet.Lock
		want   func(*fleet.Placement)
	}{
		"stop":           {func(l fleet.Lock) fleet.Lock { return Stop(l, "notes") }, func(*fleet.Placement) {}},
		"start":          {func(l fleet.Lock) fleet.Lock { return Start(l, "notes") }, func(p *fleet.Placement) { p.Stopped = false }},
		"withdraw":       {func(l fleet.Lock) fleet.Lock { return Withdraw(l, "notes") }, func(p *fleet.Placement) { p.Restore = nil }},
		"call":           {func(l fleet.Lock) fleet.Lock { return Call(l, "notes", "diary") }, func(p *fleet.Placement) { p.Called = "diary" }},
		"rename host":    {func(l fleet.Lock) fleet.Lock { return RenameHost(l, "alpha", "gamma") }, func(p *fleet.Placement) { p.Host = "gamma" }},
		"rename no host": {func(l fleet.Lock) fleet.Lock { return RenameHost(l, "delta", "gamma") }, func(*fleet.Placement) {}},
		"no such stack":  {func(l fleet.Lock) fleet.Lock { return Call(l, "wiki", "diary") }, func(*fleet.Placement) {}},
		"roll back": {func(l fleet.Lock) fleet.Lock { return RollBack(l, "notes", map[string]string{"web": "b"}) },
			func(p *fleet.Placement) { p.Images, p.Stopped, p.Restore = map[string]string{"web": "b"}, false, nil }},
		"rename a volume": {func(l fleet.Lock) fleet.Lock { return RenameVolumes(l, "notes", map[string]string{"data": "db"}, nil) },
			func(p *fleet.Placement) {
				p.Volumes = map[string]fleet.VolumeState{"db": born["data"], "old": born["old"]}
			}},
		"onto one that is there": {func(l fleet.Lock) fleet.Lock { return RenameVolumes(l, "notes", map[string]string{"data": "old"}, nil) }, func(*fleet.Placement) {}},
		"forget a volume": {func(l fleet.Lock) fleet.Lock { return RenameVolumes(l, "notes", nil, []string{"old"}) },
			func(p *fleet.Placement) { p.Volumes = map[string]fleet.VolumeState{"data": born["data"]} }},
		"retire": {func(l fleet.Lock) fleet.Lock { return Retire(l, "notes") },
			func(p *fleet.Placement) { p.Repositories, p.Former = nil, map[string][]string{"nas": {"r1"}} }},
		"repositories": {func(l fleet.Lock) fleet.Lock {
			return WithRepositories(l, "notes", map[string]string{"nas": "r2"}, map[string][]string{"nas": {"r1"}})
		}, func(p *fleet.Placement) {
			p.Repositories, p.Former = map[string]string{"nas": "r2"}, map[string][]string{"nas": {"r1"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given, want := lock(), lock()
			p := clone(want.Stacks["notes"])
			c.want(&p)
			if len(p.Repositories) == 0 {
				p.Repositories = nil
			}
			want.Stacks["notes"] = p
			got := c.change(given)
			if q := got.Stacks["notes"]; len(q.Repositories) == 0 {
				q.Repositories = nil
				got = changed(got, "notes", func(p *fleet.Placement) { *p = q })
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("changed (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(lock(), given); diff != "" {
				t.Errorf("the lock given was changed:\n%s", diff)
			}
		})
	}
}

// TestRestoreHasItsOwnID: asked for twice it is two wishes, each at the placement's epoch.
func TestRestoreHasItsOwnID(t *testing.T) {
	t.Parallel()
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 2}}}
	first, second := Restore(lock, "notes", "s1").Stacks["notes"].Restore, Restore(lock, "notes", "s1").Stacks["notes"].Restore
	if part := Restore(lock, "notes", "s1", "uploads", "data", "data").Stacks["notes"].Restore; part.Whole() || !part.Takes("data") || part.Takes("cache") || strings.Join(part.Volumes, " ") != "data uploads" || !first.Takes("cache") {
		t.Errorf("%+v", part)
	}
	if first.Epoch != 2 || first.Snapshot != "s1" || len(first.ID) != 10 || first.ID == second.ID {
		t.Errorf("%+v, %+v", first, second)
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	lock := fleet.Lock{Schema: fleet.Schema, Record: fleet.Location{Remote: "nas"}, Stacks: map[string]fleet.Placement{"blog": {Host: "beta"}, "notes": {Host: "alpha"}}}
	some := Only(lock, func(stack string, p fleet.Placement) bool { return stack == "notes" && p.Host == "alpha" })
	want := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha"}}}
	if diff := cmp.Diff(want, some); diff != "" || len(lock.Stacks) != 2 {
		t.Errorf("%v (-want +got):\n%s", lock, diff)
	}
	if none := Only(fleet.Lock{}, func(string, fleet.Placement) bool { return true }); len(none.Stacks) != 0 {
		t.Errorf("%+v", none)
	}
}
