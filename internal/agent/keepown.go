package agent

import (
	"slices"

	"salvor/internal/agentapi"
)

// ingressSchema is the first protocol whose requests say what the host publishes.
const ingressSchema = 4

// keepOwn returns spec with this host's own version of each stack whose files do
// not load at the commit: what it was last asked to run, with what the lock says of
// it. One that the host was never asked to run stays Kept: nothing is done to it. A salvor
// that knows nothing of routes does not take them off.
func keepOwn(applied, spec agentapi.Host) agentapi.Host {
	spec.Stacks = slices.Clone(spec.Stacks)
	for i, asked := range spec.Stacks {
		at := slices.IndexFunc(applied.Stacks, func(st agentapi.Stack) bool { return st.Name == asked.Name && !st.Kept })
		if !asked.Kept || at < 0 {
			continue
		}
		own := applied.Stacks[at]
		own.Epoch, own.Stopped, own.Images, own.Restore, own.Proven = asked.Epoch, asked.Stopped, asked.Images, asked.Restore, asked.Proven
		own.Consent, own.AcceptLoss, own.From = asked.Consent, asked.AcceptLoss, asked.From
		if len(asked.Sealed) > 0 {
			own.Sealed, own.Signature, own.Inputs = asked.Sealed, asked.Signature, asked.Inputs
		}
		spec.Stacks[i] = own
	}
	if spec.Schema < ingressSchema && applied.Ingress != nil {
		spec.Ingress, spec.Projects = applied.Ingress, applied.Projects
		if spec.Own == nil {
			spec.Own = applied.Own
		}
	}
	return spec
}
