package app

import (
	"testing"

	"salvor/internal/agentapi"
)

// TestPortsClash is fault D29: two stacks of one host with one port passed check and
// plan, and failed at apply.
func TestPortsClash(t *testing.T) {
	of := func(stack string, p agentapi.Port) published {
		t.Helper()
		all := publishedBy("alpha", stack, agentapi.Service{Name: "web", Ports: []agentapi.Port{p}})
		if len(all) != 1 {
			t.Fatalf("%+v is %d ports", p, len(all))
		}
		return all[0]
	}
	tests := map[string]struct {
		one, other agentapi.Port
		clash      bool
	}{
		"the same":            {agentapi.Port{Published: "80", Protocol: "tcp"}, agentapi.Port{Published: "80"}, true},
		"another":             {agentapi.Port{Published: "80"}, agentapi.Port{Published: "81"}, false},
		"in a range":          {agentapi.Port{Published: "8000-8010"}, agentapi.Port{Published: "8010"}, true},
		"beside a range":      {agentapi.Port{Published: "8000-8010"}, agentapi.Port{Published: "8011"}, false},
		"udp and tcp":         {agentapi.Port{Published: "53", Protocol: "udp"}, agentapi.Port{Published: "53", Protocol: "tcp"}, false},
		"two addresses":       {agentapi.Port{Address: "127.0.0.1", Published: "53"}, agentapi.Port{Address: "192.0.2.1", Published: "53"}, false},
		"one and all":         {agentapi.Port{Address: "127.0.0.1", Published: "53"}, agentapi.Port{Address: "0.0.0.0", Published: "53"}, true},
		"all of both sorts":   {agentapi.Port{Address: "::", Published: "53"}, agentapi.Port{Published: "53"}, true},
		"the same of address": {agentapi.Port{Address: "127.0.0.1", Published: "53"}, agentapi.Port{Address: "127.0.0.1", Published: "53"}, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := of("a", test.one).clashes(of("b", test.other)); got != test.clash {
				t.Errorf("clashes: %v", got)
			}
		})
	}
	if free := publishedBy("alpha", "a", agentapi.Service{Ports: []agentapi.Port{{Target: 80}}}); len(free) > 0 {
		t.Errorf("a port that the engine chooses is taken: %+v", free)
	}
}
