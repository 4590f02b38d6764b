package deploy

import (
	"strings"
	"testing"
	"time"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostspec"
	"salvor/internal/project"
)

// TestAStackThatDoesNotLoadIsAskedAbout is fault V17: it may be the one that is gone,
// which would be stopped.
func TestAStackThatDoesNotLoadIsAskedAbout(t *testing.T) {
	s := session(&surroundings{}, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	s.Fleet.Stacks = []fleet.Stack{{Name: "diary", Broken: true}, {Name: "blog", Host: "alpha"}}
	if found := s.RenameFindings(); len(found) != 1 || found[0].Severity != finding.Fatal || !strings.Contains(found[0].Text, "stack notes, which has data") {
		t.Errorf("%+v", found)
	}
	s.Fleet.Stacks = append(s.Fleet.Stacks, fleet.Stack{Name: "notes", Host: "beta"})
	if found := s.RenameFindings(); len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

// TestRenamedVolumesAreAskedAbout is faults V17 and D7: a new volume that would
// start empty while one with data is gone stops the plan, until formerly: or the
// operator says what it is. A renamed one has been born.
func TestRenamedVolumesAreAskedAbout(t *testing.T) {
	born := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	volume := func(name, formerly string) project.Volume {
		return project.Volume{Name: name, Source: name, Protect: fleet.Snapshot, Formerly: formerly}
	}
	for name, c := range map[string]struct {
		stack   string
		volumes []project.Volume
		known   []string // volumes that the lock knows
		consent project.Consent
		fix     string   // of the finding, "" for none
		after   []string // volumes that the lock knows after the apply
	}{
		"nothing changed":            {stack: "notes", volumes: []project.Volume{volume("data", "")}, known: []string{"data"}, after: []string{"data"}},
		"one more":                   {stack: "notes", volumes: []project.Volume{volume("data", ""), volume("more", "")}, known: []string{"data"}, after: []string{"data"}},
		"one less":                   {stack: "notes", volumes: []project.Volume{volume("data", "")}, known: []string{"data", "old"}, after: []string{"data", "old"}},
		"another":                    {stack: "notes", volumes: []project.Volume{volume("daten", "")}, known: []string{"data"}, fix: "{daten: {formerly: data}}", after: []string{"data"}},
		"another, a bind":            {stack: "notes", volumes: []project.Volume{volume("daten", "")}, known: []string{"@pg@data"}, fix: "{formerly: ./pg/data}", after: []string{"@pg@data"}},
		"renamed":                    {stack: "notes", volumes: []project.Volume{volume("daten", "data")}, known: []string{"data"}, after: []string{"daten"}},
		"meant to be another":        {stack: "notes", volumes: []project.Volume{volume("daten", "")}, known: []string{"data"}, consent: project.ConsentEmpty},
		"a stack that looks renamed": {stack: "diary", volumes: []project.Volume{volume("data", "")}, known: []string{"data"}, fix: "{formerly: notes}"},
		"another stack":              {stack: "diary", volumes: []project.Volume{volume("rows", "")}, known: []string{"data"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := fleet.Placement{Host: "alpha", Epoch: 1, Volumes: map[string]fleet.VolumeState{}}
			for _, v := range c.known {
				p.Volumes[v] = fleet.VolumeState{Born: born}
			}
			s := &Session{
				Fleet:   &fleet.Fleet{Stacks: []fleet.Stack{{Name: c.stack, Host: "alpha"}}},
				Lock:    fleet.Lock{Stacks: map[string]fleet.Placement{"notes": p}},
				Stacks:  map[string]project.Rendered{c.stack: {Volumes: c.volumes}},
				Consent: map[string]project.Consent{c.stack: c.consent},
			}
			found := s.RenameFindings()
			if c.fix == "" && len(found) > 0 || c.fix != "" && (len(found) != 1 || found[0].Severity != finding.Fatal || !strings.Contains(found[0].Fix, c.fix)) {
				t.Errorf("findings: %+v", found)
			}
			if c.stack != "notes" {
				return
			}
			now := s.Rename(s.Lock).Stacks["notes"]
			for _, v := range c.after {
				if now.Volumes[v].Born != born {
					t.Errorf("the lock has %v", now.Volumes)
				}
			}
			if len(now.Volumes) != len(c.after) || len(s.Lock.Stacks["notes"].Volumes) != len(c.known) {
				t.Errorf("the lock has %v; before %v", now.Volumes, s.Lock.Stacks["notes"].Volumes)
			}
			for _, v := range c.volumes {
				if v.Formerly != "" && hostspec.BornAs(s.Lock.Stacks["notes"], v) != born {
					t.Error("a renamed volume counts as new before the lock has its name")
				}
			}
		})
	}
}
