package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/placement"
)

// A Receipt is what a run did, how long each part took, and what is left for a
// human.
type Receipt struct {
	Schema   int                    `json:"schema"`
	Kind     Kind                   `json:"kind"`
	Fleet    string                 `json:"fleet"`
	Commit   string                 `json:"commit"`
	Began    time.Time              `json:"began"`
	Ended    time.Time              `json:"ended"`
	Phases   []agentapi.Phase       `json:"phases"`
	Hosts    []agentapi.HostReceipt `json:"hosts"`
	Findings []finding.Finding      `json:"findings,omitempty"` // about the record
	Pending  []string               `json:"pending,omitempty"`  // what a human must still do
	Asked    []string               `json:"asked,omitempty"`    // the stacks that the command was about; none: all of them
	Placed   map[string]string      `json:"placed,omitempty"`   // by stack, the host that has it now
}

// Stacks returns what became of every stack: the line of the host that has it now,
// else, for a stack that is not placed any more, of the host that had it.
func (r *Receipt) Stacks() map[string]agentapi.StackReceipt {
	all := map[string]agentapi.StackReceipt{}
	for _, h := range r.Hosts {
		for _, s := range h.Stacks {
			if _, reported := all[s.Name]; !reported || r.Placed[s.Name] == h.Host {
				all[s.Name] = s
			}
		}
	}
	return all
}

// A Failure is a stack that did not come up.
type Failure struct {
	Host, Stack string
	Error       *agentapi.Error
}

// Failed returns the stacks that the command was about and that did not come up.
func (r *Receipt) Failed() []Failure {
	return r.failures(true)
}

// FailedOthers returns the stacks that did not come up although the command was
// about others: their hosts try them in every apply.
func (r *Receipt) FailedOthers() []Failure {
	return r.failures(false)
}

func (r *Receipt) failures(asked bool) []Failure {
	var failed []Failure
	for _, h := range r.Hosts {
		for _, s := range h.Stacks {
			if s.Error != nil && asked == r.asks(s.Name) {
				failed = append(failed, Failure{h.Host, s.Name, s.Error})
			}
		}
	}
	return failed
}

func (r *Receipt) asks(stack string) bool {
	return len(r.Asked) == 0 || slices.Contains(r.Asked, stack)
}

// Up reports whether the host that has a stack now says that it is as it should be.
func (r *Receipt) Up(stack string) bool {
	s, reported := r.Stacks()[stack]
	return reported && s.Error == nil
}

// Err says what the run was about and did not come up, a line for each stack with its
// host's own hint; nil when everything did.
func (r *Receipt) Err() error {
	var errs []error
	for _, f := range r.Failed() {
		errs = append(errs, fault.WithCode(fmt.Errorf("%s: %s: %w", f.Host, f.Stack, f.Error), fault.Partial))
	}
	if out := r.outOfTailnet(); len(out) > 0 {
		errs = append(errs, fault.WithCode(fmt.Errorf("not in the tailnet: %s", strings.Join(out, ", ")), fault.Partial))
	}
	return errors.Join(errs...)
}

// outOfTailnet are the hosts that did not join; their findings say why.
func (r *Receipt) outOfTailnet() []string {
	var hosts []string
	for _, h := range r.Hosts {
		if slices.ContainsFunc(h.Findings, func(f finding.Finding) bool { return f.Code == finding.TailnetAbsent && f.Subject == h.Host }) {
			hosts = append(hosts, h.Host)
		}
	}
	return hosts
}

// unpublished says which hostnames of a host are not live yet, and why.
func unpublished(h agentapi.HostReceipt) []string {
	if h.Routes == nil || len(h.Routes.Pending) == 0 && h.Routes.Why == "" {
		return nil
	}
	line := h.Host + " could not look at its public hostnames"
	if len(h.Routes.Pending) > 0 {
		line = "not live yet: " + Some(h.Routes.Pending)
	}
	if h.Routes.Why != "" {
		line += ": " + h.Routes.Why
	}
	return []string{line + "; " + h.Host + " goes on trying, and salvor route ls shows how far it is"}
}

// Some lists hostnames on a line, and how many more there are.
func Some(hostnames []string) string {
	const named = 5
	line := strings.Join(hostnames[:min(len(hostnames), named)], ", ")
	if more := len(hostnames) - named; more > 0 {
		line += fmt.Sprintf(" and %d more", more)
	}
	return line
}

// waysBack says of each stack that moved and does not run there how it gets back:
// the host that it left has its data still.
func (r *Receipt) waysBack(moves []placement.Move) []string {
	var lines []string
	for _, m := range moves {
		left := m.From != "" && m.To != "" && r.Placed[m.Stack] == m.To
		if left && !r.Up(m.Stack) {
			lines = append(lines, fmt.Sprintf("%s does not run on %s; %s still has its data, so you can go back with: salvor move %s --to %s", m.Stack, m.To, m.From, m.Stack, m.From))
		}
	}
	return lines
}
