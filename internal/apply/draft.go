package apply

import (
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/finding"
	"salvor/internal/project"
)

// drafts returns the stacks that only a draft describes and that are not to be taken over now:
// whatever else was said about them, their containers run on.
func (p *Planned) drafts() []finding.Finding {
	var found []finding.Finding
	for _, st := range p.session.Fleet.Stacks {
		if _, placed := p.session.Lock.Stacks[st.Name]; placed || !st.Draft || st.Broken || p.Consent[st.Name] == project.ConsentAdopt {
			continue
		}
		found = append(found, finding.Finding{
			Code: finding.StackDraft, Severity: finding.Fatal, Subject: st.Dir + "/" + st.File, Stack: st.Name,
			Text: "it is a draft, made of the containers of a project that runs on " + st.Host,
			Fix:  "look through it, then salvor apply --adopt " + st.Name + " makes the containers again from it; their data stays",
		})
	}
	return p.inScope(found)
}

// recreated returns the stacks whose containers a plan makes again from a draft.
func (p *Planned) recreated(plan *deploy.Plan) []string {
	var all []string
	for _, st := range p.session.Fleet.Stacks {
		services := func(c agentapi.Change) bool { return c.Stack == st.Name && c.Kind() == agentapi.ChangeServices }
		has := func(h deploy.HostPlan) bool { return slices.ContainsFunc(h.Changes, services) }
		if st.Draft && p.Consent[st.Name] == project.ConsentAdopt && slices.ContainsFunc(plan.Hosts, has) {
			all = append(all, st.Name)
		}
	}
	return all
}

// recreateQuestion asks about drafts, with the name to type: of the stack, or of the fleet
// where it is about several.
func recreateQuestion(stacks []string, fleet string) (question, name string) {
	if name = fleet; len(stacks) == 1 {
		name = stacks[0]
	}
	return "Every container of " + strings.Join(stacks, ", ") + " is stopped and made again, from a draft. Data stays.", name
}
