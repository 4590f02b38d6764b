package agent

import (
	"context"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/finding"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/tailnet"
)

// observeTailnet says what makes the host a member of its tailnet and whether it needs a key
// for that, and returns the plan's fingerprint, "" for nothing to do. A tailscaled that does
// not answer as it should is a finding: the rest of the host does not wait for it.
func observeTailnet(ctx context.Context, m machine.Machine, facts hostprep.Facts, spec agentapi.Host, state *agentapi.HostState) (string, error) {
	if spec.Tailnet == nil {
		return "", nil
	}
	all, err := startup.TailnetOf(ctx, m, facts.OS, spec, nil)
	if err != nil {
		return "", err
	}
	plan, err := converge.NewPlan(ctx, m, all)
	out := false
	if err == nil {
		out, err = startup.MembershipOf(spec, nil).Joins(ctx, m)
	}
	if err != nil {
		state.Findings = append(state.Findings, startup.OutOfTailnet(spec, err))
		return "", ctx.Err()
	}
	changes, err := planned(ctx, m, plan)
	state.Changes, state.Node = append(state.Changes, changes...), &agentapi.Node{Out: out}
	if is, err := tailnet.StatusOf(ctx, m); err == nil && is.Address.IsValid() {
		state.Node.Address = is.Address.String()
	}
	if plan.Empty() {
		return "", err
	}
	return plan.Fingerprint(), err
}

// tailnetFindings are what is wrong with the membership of a host, and which of its stacks
// wait for it: not where it is planned that the host joins.
func tailnetFindings(ctx context.Context, h *here.Host, spec agentapi.Host, state *agentapi.HostState) []finding.Finding {
	if state.Node != nil && state.Node.Out {
		return nil
	}
	return here.TailnetFindings(ctx, h, spec, func(stack string) bool {
		for _, s := range state.Stacks {
			if s.Name == stack {
				return s.Hash != "" && len(s.Missing) == 0
			}
		}
		return false
	})
}

// membershipFindings says, where nothing is planned, that a host is not what it was applied to
// be in the tailnet.
func membershipFindings(ctx context.Context, m machine.Machine, spec agentapi.Host) []finding.Finding {
	if spec.Tailnet == nil {
		return nil
	}
	is, err := tailnet.StatusOf(ctx, m)
	why := is.Absence()
	if err != nil {
		why = err.Error()
	}
	if why == "" {
		return nil
	}
	return []finding.Finding{{Code: finding.TailnetAbsent, Severity: finding.Warning, Subject: spec.Name, Text: "it is not in the tailnet: " + strings.ReplaceAll(why, "\n", "; "),
		Fix: "salvor apply has it join again; tailscale status on " + spec.Name + " says more"}}
}
