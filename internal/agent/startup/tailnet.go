package startup

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hostprep"
	"salvor/internal/machine"
	"salvor/internal/secret"
	"salvor/internal/tailnet"
)

// MembershipOf is what a host is asked to be in the tailnet. join lets it in, nil where the
// run has nothing that does.
func MembershipOf(spec agentapi.Host, join *agentapi.Join) tailnet.Membership {
	t := spec.Tailnet
	return tailnet.Membership{Hostname: spec.Name, LoginServer: t.LoginServer, Tags: t.Tags, AcceptDNS: t.AcceptDNS, Key: func(context.Context) (secret.Value, error) {
		switch {
		case join != nil && len(join.Key) > 0:
			return secret.New(join.Key), nil
		case join != nil:
			return secret.Value{}, fault.WithHint(errors.New(join.Why), join.Fix)
		}
		return secret.Value{}, fault.WithHint(errors.New("it needs a key to join, and this run has none"), "salvor apply")
	}}
}

// TailnetOf returns the resources that make a host a member of the tailnet; none where that
// is not asked.
func TailnetOf(ctx context.Context, m machine.Machine, os hostprep.OS, spec agentapi.Host, join *agentapi.Join) ([]converge.Resource, error) {
	t := spec.Tailnet
	if t == nil {
		return nil, nil
	}
	foreign, err := tailnet.Foreign(ctx, m)
	if err != nil {
		return nil, err
	}
	from := tailnet.Source{URL: cmp.Or(t.URL, tailnet.PackagesOf(os.ID)), Suite: os.Codename, Key: []byte(t.Key), Foreign: foreign}
	return tailnet.Resources(from, MembershipOf(spec, join)), nil
}

// Admit says with what the host may join the tailnet in this run.
func (r *Run) Admit(join *agentapi.Join) { r.join = join }

// enterTailnet makes the host a member of the tailnet once its packages are there. One that
// can't be is ready otherwise: that is a finding, and stacks that need it wait.
func (r *Run) enterTailnet(ctx context.Context) {
	defer r.Meet(needTailnet, nil)
	if r.Spec.Tailnet == nil || r.Need(ctx, needPackages) != nil {
		return
	}
	facts, err := hostprep.Look(ctx, r.Machine)
	var all []converge.Resource
	if err == nil {
		all, err = TailnetOf(ctx, r.Machine, facts.OS, r.Spec, r.join)
	}
	if err == nil {
		err = r.converge(ctx, "join the tailnet", all)
	}
	if err != nil && ctx.Err() == nil {
		r.Warn("", OutOfTailnet(r.Spec, err))
	}
	if is, err := tailnet.StatusOf(ctx, r.Machine); err == nil && is.Address.IsValid() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.Receipt.Node = &agentapi.Node{Address: is.Address.String()}
	}
}

// OutOfTailnet is the finding of a host that is to be in the tailnet and is not.
func OutOfTailnet(spec agentapi.Host, why error) finding.Finding {
	fix := fault.Hint(why)
	switch {
	case fix != "":
	case errors.Is(why, tailnet.ErrKey):
		fix = "make another key, then salvor secret set NAME with the name in tailnet.auth, then salvor apply"
	case errors.Is(why, tailnet.ErrTags):
		fix = "have the tailnet's policy name the tags under tagOwners, then salvor apply"
	case errors.Is(why, tailnet.ErrControl):
		fix = "salvor apply tries again; tailscale status on " + spec.Name + " says more"
	case spec.Tailnet.Key == "":
		fix = "install tailscale on " + spec.Name + ", or write the key of its apt repository under tailnet.key (docs/tailnet.md), then salvor apply"
	default:
		fix = "salvor apply tries again; journalctl -u tailscaled on " + spec.Name + " says more"
	}
	return finding.Finding{Code: finding.TailnetAbsent, Severity: finding.Warning, Subject: spec.Name, Text: "it is not in the tailnet: " + strings.ReplaceAll(why.Error(), "\n", "; "), Fix: fix}
}
