package hostlink

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
)

// TestServicesAreThoseAskedFor, without times that can't be.
func TestServicesAreThoseAskedFor(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	later := now.Add(48 * time.Hour)
	list := &agentapi.ServiceList{Stacks: []agentapi.StackServices{
		{Name: "notes", Services: []agentapi.ServiceRow{{Name: "web", Since: later}, {Name: "db", Since: now}}, Failed: &agentapi.FailedDeploy{At: later}}, {Name: "bank"},
	}}
	if err := check("alpha", agentapi.AskServices{Stacks: []string{"notes"}}, list, now); err != nil {
		t.Fatal(err)
	}
	want := []agentapi.StackServices{{Name: "notes", Services: []agentapi.ServiceRow{{Name: "web"}, {Name: "db", Since: now}}}}
	if diff := cmp.Diff(want, list.Stacks); diff != "" || len(list.Findings) != 1 || list.Findings[0].Code != finding.AnswerRefused {
		t.Errorf("%v, (-want +got)\n%s", list.Findings, diff)
	}
}

// TestTheNewestSnapshotIsOfWhatWasAskedFor.
func TestTheNewestSnapshotIsOfWhatWasAskedFor(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	good := agentapi.ProvenSnapshot{ID: "aa", Epoch: 2, Seq: 3, At: now}
	all := map[string]agentapi.ProvenSnapshot{"notes": good, "bank": good, "shop": {ID: "aa", Epoch: 3, At: now}, "wiki": {ID: "aa", Epoch: 1, At: now.Add(48 * time.Hour)}, "blog": {ID: "../x"}}
	r := &agentapi.Newest{Stacks: all}
	if err := check("beta", agentapi.AskNewest{Stacks: map[string]int{"notes": 2, "shop": 2, "wiki": 2, "blog": 2}}, r, now); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]agentapi.ProvenSnapshot{"notes": good}, r.Stacks); diff != "" || len(r.Findings) != 1 {
		t.Errorf("%v, (-want +got)\n%s", r.Findings, diff)
	}
}

// TestAScheduleThatCantBeIsDropped.
func TestAScheduleThatCantBeIsDropped(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		schedule agentapi.Schedule
		kept     bool
	}{
		"due":           {agentapi.Schedule{Every: time.Hour}, true},
		"in an hour":    {agentapi.Schedule{Every: time.Hour, Next: now.Add(time.Hour)}, true},
		"in two days":   {agentapi.Schedule{Every: time.Hour, Next: now.Add(48 * time.Hour)}, false},
		"backwards":     {agentapi.Schedule{Every: -time.Hour}, false},
		"before clocks": {agentapi.Schedule{Every: time.Hour, Next: time.Unix(-1e10, 0)}, false},
	} {
		state := &agentapi.HostState{Stacks: []agentapi.StackState{{Name: "notes", Schedule: &c.schedule}}}
		ask := agentapi.Observe{Host: agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{{Name: "notes"}}}}
		if err := check("alpha", ask, state, now); err != nil || (state.Stacks[0].Schedule != nil) != c.kept {
			t.Errorf("%s: %v, %v", name, state.Stacks[0].Schedule, err)
		}
	}
}
