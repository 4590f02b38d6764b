package check

import (
	"testing"

	"salvor/internal/fleet"
	"salvor/internal/project"
)

// TestPortsClash is fault D29: two stacks of one host with one port passed check and
// plan, and failed at apply.
func TestPortsClash(t *testing.T) {
	of := func(stack string, p project.Port) published {
		t.Helper()
		one, fixed := publishedOn(fleet.Stack{Name: stack, Host: "alpha"}, project.Published{Port: p, Service: "web"})
		if !fixed {
			t.Fatalf("%+v is not fixed", p)
		}
		return one
	}
	tests := map[string]struct {
		one, other project.Port
		clash      bool
	}{
		"the same":              {project.Port{Published: "80", Protocol: "tcp"}, project.Port{Published: "80"}, true},
		"another":               {project.Port{Published: "80"}, project.Port{Published: "81"}, false},
		"in a range":            {project.Port{Published: "8000-8010"}, project.Port{Published: "8010"}, true},
		"beside a range":        {project.Port{Published: "8000-8010"}, project.Port{Published: "8011"}, false},
		"udp and tcp":           {project.Port{Published: "53", Protocol: "udp"}, project.Port{Published: "53", Protocol: "tcp"}, false},
		"two addresses":         {project.Port{Address: "127.0.0.1", Published: "53"}, project.Port{Address: "192.0.2.1", Published: "53"}, false},
		"one and all":           {project.Port{Address: "127.0.0.1", Published: "53"}, project.Port{Address: "0.0.0.0", Published: "53"}, true},
		"all of both sorts":     {project.Port{Address: "::", Published: "53"}, project.Port{Published: "53"}, true},
		"all of one sort each":  {project.Port{Address: "::", Published: "53"}, project.Port{Address: "0.0.0.0", Published: "53"}, false},
		"one of the other sort": {project.Port{Address: "::1", Published: "53"}, project.Port{Address: "0.0.0.0", Published: "53"}, false},
		"the same of address":   {project.Port{Address: "127.0.0.1", Published: "53"}, project.Port{Address: "127.0.0.1", Published: "53"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := of("a", test.one).common(of("b", test.other)) != 0; got != test.clash {
				t.Errorf("clashes: %v", got)
			}
		})
	}
	if free, fixed := publishedOn(fleet.Stack{}, project.Published{Port: project.Port{Target: 80}}); fixed {
		t.Errorf("a port that the engine chooses is taken: %+v", free)
	}
}
