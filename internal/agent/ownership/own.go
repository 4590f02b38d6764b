package ownership

import (
	"context"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/record"
)

// Own returns whether this host may change, outside of it, what it publishes of its own. Nothing
// of that is claimed. It may where the newest commit that can be read has this machine under its
// name; where Git does not answer, while a stack is still its own. A host that was recovered from
// and comes back may not. fresh has it look now, else a look within the lease counts.
func (g *Guard) Own(ctx context.Context, spec agentapi.Host, own agentapi.Stack, fresh bool) record.Verdict {
	age := g.Lease().Every + g.h.Lease.Within
	if fresh {
		age = recently
	}
	var names []string
	for _, st := range spec.Stacks {
		names = append(names, st.Name)
	}
	stacks := g.since(ctx, spec, names, time.Now().Add(-age))
	g.mu.Lock()
	defer g.mu.Unlock()
	git := g.newest.git
	if !git.reached {
		return ownBy(stacks, spec, own)
	}
	placed, here := git.lock.Hosts[spec.Name]
	switch key := git.recipient(spec.Name); {
	case key != "" && key != g.newest.key:
		return record.Verdict{State: record.Lost, Reason: "another machine has the name " + spec.Name + " in Git"}
	case key == "" && !here:
		return record.Verdict{State: record.Lost, Reason: "Git has no host " + spec.Name}
	case here:
		return record.Verdict{State: record.Own, MayChange: true, Epoch: placed.Epoch}
	}
	return record.Verdict{State: record.Own, MayChange: true, Epoch: own.Epoch}
}

// ownBy is Own by the verdicts on the host's stacks.
func ownBy(stacks map[string]record.Verdict, spec agentapi.Host, own agentapi.Stack) record.Verdict {
	may := spec.Git.URL == "" && len(spec.Stacks) == 0 // no one could say otherwise
	for _, v := range stacks {
		may = may || v.MayChange
	}
	if may {
		return record.Verdict{State: record.Own, MayChange: true, Epoch: own.Epoch}
	}
	return record.Verdict{State: record.Unknown, Reason: "Git does not answer, and no claim says that a stack is this host's"}
}
