package deploy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/placement"
	"salvor/internal/project"
)

// TestWhatDiffersLeavesNoCommit: a service with a secret can be compared once its secrets
// are sealed, and that is before its stack is placed.
func TestWhatDiffersLeavesNoCommit(t *testing.T) {
	t.Parallel()
	w, s := world()
	s.Fleet.Stacks = append(s.Fleet.Stacks, fleet.Stack{Name: "photos", Host: "alpha"})
	s.Consent = map[string]project.Consent{"photos": project.ConsentAdopt}
	next, moves := placement.Next(s.Fleet, s.Lock, nil)
	plan := deploy.MakePlan(s.Fleet, s.Commit, moves, s.Observe(t.Context(), next))
	differs := finding.Finding{Code: finding.AdoptDiffers, Severity: finding.Fatal, Subject: "alpha/photos", Text: "what runs differs: app: environment ~PW", Fix: "put the files in Git"}
	db := differs
	db.Text = "what runs differs: db: command"
	w.States = map[string]agentapi.HostState{"alpha": {Findings: []finding.Finding{differs, {Code: finding.DiskFull, Subject: "alpha"}, db}}}
	_, err := s.Apply(t.Context(), plan, next, deploy.Options{Kind: deploy.KindApply, Moves: moves})
	if err == nil || err.Error() != "alpha/photos: what runs differs: app: environment ~PW; db: command [adopt-differs]" || fault.Hint(err) != "nothing was committed; alpha says: put the files in Git" {
		t.Errorf("ends with %v, hint %q", err, fault.Hint(err))
	}
	if diff := cmp.Diff([]string{"push", "seal photos"}, w.Log()); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}

	w.States = nil
	r, err := s.Apply(t.Context(), plan, next, deploy.Options{Kind: deploy.KindApply, Moves: moves})
	compared := slices.ContainsFunc(r.Phases, func(p agentapi.Phase) bool { return p.Name == "compare what runs" })
	if log := strings.Join(w.Log(), "\n"); err != nil || !compared || !strings.Contains(log, "commit apply: placements") {
		t.Errorf("%v, phases %+v, asked:\n%s", err, r.Phases, log)
	}
}
