package deploy

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/lockfile"
	"salvor/internal/placement"
	"salvor/internal/project"
	"salvor/internal/terminal"
)

var update = flag.Bool("update", false, "write the golden files")

func threeHosts() *fleet.Fleet {
	return &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}, {Name: "delta"}, {Name: "gamma"}},
		Stacks: []fleet.Stack{{Name: "blog", Host: "beta"}, {Name: "notes", Host: "alpha"}}}
}

func seen() map[string]Observation {
	return map[string]Observation{
		"alpha": {State: agentapi.HostState{Fingerprint: "f1", Findings: []finding.Finding{{Code: finding.SnapshotLate, Severity: finding.Warning, Subject: "notes", Text: "the newest snapshot is 2h old", Fix: "salvor snapshot take notes"}},
			Changes: []agentapi.Change{
				{ID: "file /etc/docker/daemon.json", Action: "~", Cause: "mode is 0600, want 0644"},
				{Stack: "notes", ID: "volume data", Action: "+", Cause: "starts empty"},
				{Stack: "notes", ID: "volume old", Action: "-", Cause: "no longer declared", Destroys: "volume old of notes"},
			}}},
		"beta":  {New: true},
		"delta": {State: agentapi.HostState{Fingerprint: "f2"}},
		"gamma": {Err: errors.New("gamma: host unreachable: no route")},
	}
}

var twoMoves = []placement.Move{{Stack: "blog", From: "alpha", To: "beta", Epoch: 4}, {Stack: "notes", To: "alpha", Epoch: 1}, {Stack: "gone", From: "delta", Epoch: 2}}

func TestPlanIsGolden(t *testing.T) {
	p := MakePlan(threeHosts(), "1a2b3c4d5e", twoMoves, seen())
	p.Playbooks = &fleet.Playbooks{Before: "playbooks/before.yml", After: "playbooks/after.yml"}
	var got bytes.Buffer
	p.Render(terminal.NewPage(&got, false))
	const path = "testdata/plan.golden"
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"volume old of notes"}, p.Destroys()); diff != "" {
		t.Error(diff)
	}
	if err := p.Complete(); !errors.Is(err, ErrUnreachableHosts) || err.Error() != "not every host could be reached: gamma: host unreachable: no route" {
		t.Error(err)
	}
}

// TestFingerprint: equal worlds give equal plans, any difference another one.
func TestFingerprint(t *testing.T) {
	first := MakePlan(threeHosts(), "1a2b3c4", twoMoves, seen())
	if again := MakePlan(threeHosts(), "1a2b3c4", twoMoves, seen()); again.Fingerprint != first.Fingerprint {
		t.Error("the same world has two fingerprints")
	}
	changes := map[string]func(map[string]Observation){
		"a host's fingerprint": func(o map[string]Observation) {
			o["delta"] = Observation{State: agentapi.HostState{Fingerprint: "f3"}}
		},
		"a host answers": func(o map[string]Observation) { o["gamma"] = Observation{} },
		"a change less": func(o map[string]Observation) {
			o["alpha"] = Observation{State: agentapi.HostState{Fingerprint: "f1", Changes: o["alpha"].State.Changes[:1]}}
		},
	}
	for name, change := range changes {
		world := seen()
		change(world)
		if other := MakePlan(threeHosts(), "1a2b3c4", twoMoves, world); other.Fingerprint == first.Fingerprint {
			t.Errorf("%s: the fingerprint stays", name)
		}
	}
}

func TestEmptyPlan(t *testing.T) {
	away := MakePlan(threeHosts(), "c", nil, map[string]Observation{"alpha": {}, "gamma": {Err: errors.New("away")}})
	if !away.Empty() {
		t.Error("an unreachable host counts as a change")
	}
	if fresh := MakePlan(threeHosts(), "c", nil, map[string]Observation{"alpha": {New: true}}); fresh.Empty() {
		t.Error("a host without salvord needs nothing")
	}
}

func TestLearned(t *testing.T) {
	first, second := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 2, 2, 0, 0, 0, 0, time.UTC)
	was := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{
		"blog": {Host: "alpha", Epoch: 2, Images: map[string]string{"web": "web:1@sha256:old"}, Volumes: map[string]fleet.VolumeState{"db": {Born: first}}},
	}}
	receipt := func(host string, epoch int) []agentapi.HostReceipt {
		return []agentapi.HostReceipt{{Host: host, Stacks: []agentapi.StackReceipt{{Name: "blog", Epoch: epoch, Images: map[string]string{"web": "web:2@sha256:new"}, Born: map[string]time.Time{"db": second, "media": second}}}}}
	}
	cases := map[string]struct {
		receipts []agentapi.HostReceipt
		want     fleet.Placement
	}{
		"the owner":       {receipt("alpha", 2), fleet.Placement{Host: "alpha", Epoch: 2, Images: map[string]string{"web": "web:2@sha256:new"}, Volumes: map[string]fleet.VolumeState{"db": {Born: first}, "media": {Born: second}}}},
		"another host":    {receipt("beta", 2), was.Stacks["blog"]},
		"an earlier time": {receipt("alpha", 1), was.Stacks["blog"]},
	}
	for name, c := range cases {
		got := learned(was, c.receipts)
		if diff := cmp.Diff(c.want, got.Stacks["blog"]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestReseal(t *testing.T) {
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "alpha"}, "blog": {Host: "alpha"}, "wiki": {Host: "gamma"}}}
	stacks := map[string]project.Rendered{"notes": {Project: project.Project{Services: []project.Service{{Name: "web", OnChange: "signal:HUP"}, {Name: "db"}}}}}
	seen := map[string]Observation{
		"alpha": {State: agentapi.HostState{Changes: []agentapi.Change{{Stack: "blog", ID: "secrets", Action: "~", Cause: "its sealed file changed"}}}},
		"gamma": {Err: errors.New("away")},
	}
	p := MakePlan(threeHosts(), "c", nil, seen)
	before := p.Fingerprint
	p.Reseal(map[string]string{"notes": "its secrets changed", "blog": "its secrets changed", "wiki": "its secrets changed"}, lock, stacks)
	want := []agentapi.Change{
		{Stack: "blog", ID: "secrets", Action: "~", Cause: "its sealed file changed"},
		{Stack: "notes", ID: "secrets", Action: "~", Cause: "its secrets changed; services notified if their secret changed: web signal:HUP"},
	}
	if diff := cmp.Diff(want, p.Hosts[0].Changes); diff != "" {
		t.Error(diff)
	}
	if p.Fingerprint == before {
		t.Error("the plan's fingerprint does not notice a new seal")
	}
	for _, hp := range p.Hosts {
		if hp.Unreachable != "" && len(hp.Changes) > 0 {
			t.Errorf("changes on a host that is away: %v", hp.Changes)
		}
	}
}

// TestOneEncodingOfTheLock: apply wrote other bytes than every other command, and
// checked nothing, so that a lock could be committed that no command reads again.
func TestOneEncodingOfTheLock(t *testing.T) {
	lock := fleet.Lock{Schema: fleet.Schema, Stacks: map[string]fleet.Placement{"notes": {Host: "alpha", Epoch: 1, Images: map[string]string{"app": "r.example/a&b:1@sha256:" + strings.Repeat("a", 64)}}}}
	files, err := lockFile(fleet.Lock{}, lock)
	if err != nil {
		t.Fatal(err)
	}
	again, err := lockfile.Decode(files[lockfile.Name])
	if err != nil {
		t.Fatal(err)
	}
	if same, err := lockFile(again, lock); err != nil || len(same) > 0 {
		t.Errorf("the lock as it was read is written as %s, %v", same[lockfile.Name], err)
	}
	if strings.Contains(string(files[lockfile.Name]), `\u0026`) {
		t.Error("the file escapes what is plain text")
	}
	lock.Stacks["notes"] = fleet.Placement{Host: "alpha"}
	if _, err := lockFile(fleet.Lock{}, lock); err == nil {
		t.Error("a placement without an epoch is written")
	}
}

// TestS11WhatMayBeLostIsOneLine: a host's text forges no line of a question.
func TestS11WhatMayBeLostIsOneLine(t *testing.T) {
	p := Plan{Hosts: []HostPlan{{Changes: []agentapi.Change{{Destroys: "the cache\nType home to continue: "}}}}}
	if lost := p.Destroys(); len(lost) != 1 || strings.Contains(lost[0], "\n") {
		t.Errorf("lost is %q", lost)
	}
}

// TestTheImageOfAHostsOwnProjectIsPinned: by what the host said before the apply and after it.
func TestTheImageOfAHostsOwnProjectIsPinned(t *testing.T) {
	own := func(digest string) []agentapi.OwnProject {
		return []agentapi.OwnProject{{Name: "salvor-x", Image: "x:1" + digest}}
	}
	lock := fleet.Lock{Hosts: map[string]fleet.Placement{"alpha": {Host: "alpha", Epoch: 2}}}
	for name, c := range map[string]struct{ before, after []agentapi.OwnProject }{
		"before":        {own("@sha256:a"), nil},
		"after":         {nil, own("@sha256:a")},
		"another after": {own("@sha256:b"), own("@sha256:a")},
	} {
		p := MakePlan(&fleet.Fleet{Hosts: []fleet.Host{{Name: "alpha"}}}, "c1", nil, map[string]Observation{"alpha": {State: agentapi.HostState{Projects: []agentapi.ProjectState{{OwnProject: append(c.before, agentapi.OwnProject{})[0]}}}}})
		if p.Pins(lock) != (len(c.before) > 0) {
			t.Errorf("%s: the plan pins: %t", name, p.Pins(lock))
		}
		next := learned(p.pinned(lock), []agentapi.HostReceipt{{Host: "alpha", Projects: c.after}})
		if got := next.Hosts["alpha"].Images["salvor-x"]; got != "x:1@sha256:a" || lock.Hosts["alpha"].Images != nil {
			t.Errorf("%s: %q, the lock given has %v", name, got, lock.Hosts["alpha"].Images)
		}
		if p.Pins(next) && name != "another after" {
			t.Errorf("%s: it is pinned, and the plan still pins", name)
		}
	}
}

// TestARouteThatMovesAndLosesItsProtection: the new host never had it.
func TestARouteThatMovesAndLosesItsProtection(t *testing.T) {
	// by each host alone, a wildcard gets the requests of what goes, and was in front of what comes
	change := func(action string, open bool) []agentapi.Change {
		return []agentapi.Change{{Stack: "notes", ID: "route app.example.com", Action: action, Open: open, Opens: "app.example.com"}}
	}
	moves := []placement.Move{{Stack: "notes", From: "alpha", To: "beta", Epoch: 2}}
	for name, c := range map[string]struct {
		guarded []string
		open    bool
		want    string
	}{
		"opened":          {[]string{"app.example.com"}, true, "app.example.com"},
		"guarded":         {[]string{"app.example.com"}, false, ""},
		"was open before": {[]string{"app.example.com/admin"}, true, ""},
	} {
		p := MakePlan(threeHosts(), "c", moves, map[string]Observation{
			"alpha": {State: agentapi.HostState{Changes: change("-", false), Guarded: c.guarded}}, "beta": {State: agentapi.HostState{Changes: change("+", c.open)}},
		})
		if got := strings.Join(p.Opens(), " "); got != c.want {
			t.Errorf("%s: %q loses its protection", name, got)
		}
		said := strings.Contains(p.Sum(), "everyone will reach app.example.com")
		var page strings.Builder
		p.Render(terminal.NewPage(&page, false))
		if text := page.String(); said != (c.want != "") || strings.Contains(text, "loses its protection: everyone will reach app.example.com") != said {
			t.Errorf("%s: %s", name, text)
		}
	}
}
