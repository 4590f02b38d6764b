package apply

import (
	"slices"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// TestADraftWaitsForItsConsent: it is taken over when its name is typed, and whatever else is
// said about it leaves it as it runs.
func TestADraftWaitsForItsConsent(t *testing.T) {
	t.Parallel()
	for consent, asked := range map[project.Consent]bool{"": false, project.ConsentTake: false, project.ConsentFresh: false, project.ConsentAdopt: true} {
		h := newHouse()
		h.fleet.Declared.Stacks = append(h.fleet.Declared.Stacks, fleet.Stack{Name: "ghosts", Host: "beta", Draft: true, Dir: "stacks/ghosts", File: "compose.yaml"})
		h.changes("beta", starts("ghosts"))
		planned, err := Prepare(t.Context(), h.fleet, Options{Consent: map[string]project.Consent{"ghosts": consent}}, progress.Discard())
		if err != nil {
			t.Fatal(err)
		}
		drafted := slices.ContainsFunc(planned.Plan.Findings, func(f finding.Finding) bool {
			return f.Code == finding.StackDraft && f.Stack == "ghosts" && strings.Contains(f.Fix, "salvor apply --adopt ghosts")
		})
		_, placed := planned.next.Stacks["ghosts"]
		if drafted == asked || placed != asked || asked != (planned.Left() == nil) {
			t.Errorf("%q: finding %v, placed %v, %v", consent, drafted, placed, planned.Left())
		}
		if code, _ := fault.Code(planned.Left()); !asked && code != fault.Partial {
			t.Errorf("%q: code %d", consent, code)
		}
		if p, err := planned.Propose(t.Context(), nil); err != nil || asked && (p.Name != "ghosts" || !strings.Contains(p.Question, "Every container of ghosts")) || !asked && p.Name != "" {
			t.Errorf("%q: %+v, %v", consent, p, err)
		}
	}
}

// TestADraftThatWasTakenOver is a stack like any other, and one that is not sure to be taken
// over is asked about again.
func TestADraftThatWasTakenOver(t *testing.T) {
	t.Parallel()
	h := newHouse()
	h.fleet.Declared.Stacks[1].Draft = true // notes, which is placed
	h.changes("beta", starts("notes"))
	if planned, p := h.prepared(t, Options{}); p.Name != "" || p.Question == "" || planned.Left() != nil {
		t.Errorf("%+v, %v", p, planned.Left())
	}
	if _, p := h.prepared(t, Options{Consent: map[string]project.Consent{"notes": project.ConsentAdopt}}); p.Name != "notes" {
		t.Errorf("%+v", p)
	}
	h.States["beta"] = agentapi.HostState{}
	if _, p := h.prepared(t, Options{Consent: map[string]project.Consent{"notes": project.ConsentAdopt}}); p.Name != "" || p.Question != "" {
		t.Errorf("%+v", p)
	}
}
