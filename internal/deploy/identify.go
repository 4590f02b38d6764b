package deploy

import (
	"context"
	"errors"
	"fmt"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
)

// otherMachine is the finding of a host that is another machine than the one which Git
// has for its name, by what it says itself: nothing is sealed for that one. What the
// host or Git does not say is not compared.
func (s *Session) otherMachine(host string, said agentapi.HostKeys) []finding.Finding {
	is, has := said.Recipient, s.Keys[host]
	if is == "" || has == "" || is == has {
		is, has = string(said.Signer), string(s.HostSigners[host])
	}
	if is == "" || has == "" || is == has {
		return nil
	}
	return []finding.Finding{{
		Code: finding.HostOtherKey, Severity: finding.Fatal, Subject: host,
		Text: fmt.Sprintf("%s reports the key %s, but Git has %s: nothing is sealed for it", host, is, has),
		Fix:  "git log -- " + hostkey.Path(host) + " shows who changed it; salvor host add " + host + " USER@ADDRESS pins the host's own key again",
	}}
}

// identify has the hosts of a run without a plan say which machine they are. One
// that does not answer is left to the apply.
func (r *Run) identify(ctx context.Context) error {
	if !r.Unplanned {
		return nil // the plan has it
	}
	return r.each(func(h fleet.Host, _ HostPlan) error {
		link, err := r.dial(ctx, h)
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		var said agentapi.HostKeys
		if link.Call(ctx, agentapi.VerbKeys, agentapi.AskKeys{}, &said) != nil {
			return nil
		}
		for _, f := range r.otherMachine(h.Name, said) {
			return fault.WithHint(errors.New(f.Text), f.Fix)
		}
		return nil
	})
}
