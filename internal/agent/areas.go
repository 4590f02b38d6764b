package agent

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
)

// areaChanges says which areas of the host Salvor takes care of from now on, and what it
// keeps there, and which it leaves alone. A host that is applied for the first time has
// only those in which something is kept: what it lacks is in the plan anyway.
func areaChanges(applied, want agentapi.Host, facts hostprep.Facts) []agentapi.Change {
	had := applied.Manage
	if applied.Schema == 0 {
		had = fleet.Areas{}
	}
	var all []agentapi.Change
	for _, area := range fleet.KnownAreas() {
		id, kept := "area "+string(area), facts.Keeps(area)
		switch has := want.Manage.Has(area); {
		case has && !had.Has(area) && (applied.Schema != 0 || kept != ""):
			all = append(all, agentapi.Change{ID: id, Action: "+", Cause: cmp.Or(kept, "Salvor takes care of it from now on")})
		case !has && had.Has(area):
			all = append(all, agentapi.Change{ID: id, Action: "-", Cause: "left as it is from now on: nothing is removed"})
		}
	}
	return all
}

// planned are the changes of a plan as they cross the wire. The one that restarts Docker
// names the containers that stop for it, of whatever origin.
func planned(ctx context.Context, m machine.Machine, plan *converge.Plan) ([]agentapi.Change, error) {
	var all []agentapi.Change
	restart := hostprep.RestartsDocker(plan.Changes)
	for i, c := range plan.Changes {
		cause := c.Cause
		if i == restart {
			stopped, err := here.Stopped(ctx, m)
			if err != nil {
				return nil, err
			}
			if len(stopped) > 0 {
				cause += "; the restart stops " + strings.Join(stopped, ", ")
			}
		}
		all = append(all, agentapi.Change{ID: c.ID, Action: string(c.Action), Cause: cause, Destroys: c.Destroys})
	}
	return all, nil
}

// rebootFindings says that upgrades wait for a reboot, on a host that has them install themselves.
func rebootFindings(ctx context.Context, m machine.Machine, spec agentapi.Host) ([]finding.Finding, error) {
	if !spec.Manage.Has(fleet.AreaUpdates) {
		return nil, nil
	}
	required, packages, err := hostprep.RebootRequired(ctx, m)
	if err != nil || !required {
		return nil, err
	}
	text := "upgrades that are installed count only after a reboot"
	if len(packages) > 0 {
		text += ": " + strings.Join(packages, ", ")
	}
	return []finding.Finding{{
		Code: finding.RebootRequired, Severity: finding.Warning, Subject: spec.Name, Text: text,
		Fix: "reboot " + spec.Name + " when its stacks may be away for a minute; they start again automatically",
	}}, nil
}

// engineFindings says what stacks lack on a host whose Docker is not Salvor's: a stack
// that is to run there is not started. able reports whether they lack nothing.
func engineFindings(ctx context.Context, h *here.Host, spec agentapi.Host) (found []finding.Finding, able bool, err error) {
	lacks, err := h.Lacks(ctx, spec)
	if err != nil || lacks == "" {
		return nil, err == nil, err
	}
	missing := finding.Finding{
		Code: finding.EngineMissing, Severity: finding.Info, Subject: spec.Name, Text: lacks + ": stacks can't run there",
		Fix: fmt.Sprintf("salvor host take %s %s, then salvor apply; or install it there yourself", spec.Name, fleet.AreaDocker),
	}
	for _, st := range spec.Stacks {
		if st.Kept || st.Stopped {
			continue
		}
		its := missing
		its.Severity, its.Subject, its.Text = finding.Fatal, spec.Name+"/"+st.Name, lacks+" on "+spec.Name+": it is not started"
		found = append(found, its)
	}
	if len(found) == 0 {
		found = []finding.Finding{missing}
	}
	return found, false, nil
}
