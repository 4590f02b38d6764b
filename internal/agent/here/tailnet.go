package here

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/project"
	"salvor/internal/tailnet"
)

// ErrNoTailnet means that a stack uses the host's address in the tailnet, and that the host
// can't be reached by it now.
var ErrNoTailnet = errors.New("the host is not in the tailnet")

// TailnetAddress returns the host's address in the tailnet; the error wraps ErrNoTailnet
// while it has none.
func TailnetAddress(ctx context.Context, h *Host) (netip.Addr, error) {
	is, err := tailnet.StatusOf(ctx, h.Machine)
	switch {
	case errors.Is(err, tailnet.ErrNotThere):
		return netip.Addr{}, fmt.Errorf("%w: %w", ErrNoTailnet, err)
	case err != nil:
		return netip.Addr{}, err
	case is.Absence() != "":
		return netip.Addr{}, fmt.Errorf("%w: %s", ErrNoTailnet, is.Absence())
	}
	return is.Address, nil
}

// CheckTailnet returns ErrNoTailnet for a stack that uses the address of a host which has
// none.
func (s *Stack) CheckTailnet(ctx context.Context) error {
	if !s.Project.UsesTailnet() {
		return nil
	}
	_, err := TailnetAddress(ctx, s.Host)
	if errors.Is(err, ErrNoTailnet) {
		err = fault.WithHint(err, waitsFor(s.Spec.Name))
	}
	return err
}

func waitsFor(host string) string {
	return "tailscale status on " + host + " says more; the stack starts automatically once the tailnet is up"
}

// WithTailnet returns the opened file of the stack's secrets with the host's address among
// the variables, where the stack uses it.
func (s *Stack) WithTailnet(ctx context.Context) (agentapi.SealedFile, error) {
	file := s.Access.File
	if !s.Project.UsesTailnet() {
		return file, nil
	}
	address, err := TailnetAddress(ctx, s.Host)
	if err != nil {
		return file, err
	}
	file.Env = maps.Clone(file.Env)
	if file.Env == nil {
		file.Env = map[string][]byte{}
	}
	file.Env[project.TailnetIP] = []byte(address.String())
	return file, nil
}

// TailnetFindings are what is wrong with the host's membership, and which stacks wait for it.
// running says of a stack that it runs.
func TailnetFindings(ctx context.Context, h *Host, spec agentapi.Host, running func(stack string) bool) []finding.Finding {
	uses := false
	for _, st := range spec.Stacks {
		uses = uses || st.Project.UsesTailnet() && !st.Stopped && !st.Kept
	}
	if spec.Tailnet == nil && !uses {
		return nil
	}
	is, err := tailnet.StatusOf(ctx, h.Machine)
	absence := is.Absence()
	if err != nil {
		absence = err.Error()
	}
	var all []finding.Finding
	if !is.Expires.IsZero() && is.Member() && spec.Tailnet != nil {
		all = append(all, finding.Finding{Code: finding.TailnetExpires, Severity: finding.Warning, Subject: spec.Name,
			Text: "its key in the tailnet expires on " + is.Expires.Format("2006-01-02") + ": from then on it can't be reached there",
			Fix:  "disable the key's expiry in the tailnet's admin console, or have the host join with a tag"})
	}
	for _, st := range spec.Stacks {
		if absence == "" || !st.Project.UsesTailnet() || st.Stopped || st.Kept {
			continue
		}
		effect := "the stack does not start without it"
		if running(st.Name) {
			effect = "what the stack publishes there can't be reached"
		}
		all = append(all, finding.Finding{Code: finding.TailnetAbsent, Severity: finding.Warning, Subject: spec.Name + "/" + st.Name,
			Text: "the host is not in the tailnet: " + absence + ": " + effect, Fix: waitsFor(spec.Name)})
	}
	return all
}
