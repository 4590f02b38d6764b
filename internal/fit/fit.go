// Package fit says whether stacks fit on hosts, before anything is done for them: by what
// hosts report and what stacks ask for. It is pure, and what is not known fits.
package fit

import (
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/project"
)

// A Stack is one that is placed, with what it asks of its host.
type Stack struct {
	Name string
	project.Rendered
	Needs []string // stacks that must run before it
	Bytes int64    // of the data that is restored for it, 0 where that is not known
}

// A Placing is what one host is to have.
type Placing struct {
	Host     string
	Arch     string           // as Go names it
	Report   *agentapi.Report // nil where the host makes none: everything fits then
	Networks []string         // that fleet.yaml declares: made there before any stack
	Stays    []Stack          // that run there already
	Leaves   []string         // stacks that stop there before any comes
	Comes    []Stack          // in this order: the first gets what two of them want
	Refuses  []Misfit         // what the host itself found about stacks that may come
}

// A Misfit is one reason why a stack that comes does not fit, or fits badly.
type Misfit struct {
	Stack    string
	Text     string // "port 80 is taken there by sshd"
	Fix      string
	Severity finding.Severity
	Known    bool // the host found it, and reports it in a finding of its own
}

// Finding is the misfit as a finding about a host.
func (m Misfit) Finding(host, fix string) finding.Finding {
	return finding.Finding{Code: finding.DoesNotFit, Severity: m.Severity, Subject: host + "/" + m.Stack, Text: m.Text, Fix: fix, Stack: m.Stack}
}

// Misfits returns why stacks that come do not fit. One that does not fit takes nothing
// from those after it.
func (p Placing) Misfits() []Misfit {
	if p.Report == nil {
		return nil
	}
	there := room{Placing: p, stacks: slices.Clone(p.Stays), free: p.Report.Free}
	var all []Misfit
	for _, st := range p.Comes {
		found := look{there, st}.all()
		all = append(all, found...)
		if !Refused(found) {
			there.stacks = append(there.stacks, st)
			there.free -= copies * st.Bytes
		}
	}
	return all
}

// Refused reports whether a misfit is one that a stack can't run with.
func Refused(found []Misfit) bool {
	return slices.ContainsFunc(found, func(m Misfit) bool { return m.Severity == finding.Fatal })
}

// room is what is left of a host once it has some stacks.
type room struct {
	Placing
	stacks []Stack // that it has
	free   int64   // bytes
}

// foreign returns the containers of the host that belong to no stack which stays or
// comes: those stacks are known by what they ask for.
func (r room) foreign() []agentapi.HostContainer {
	if r.Report.Engine == nil {
		return nil
	}
	own := func(c agentapi.HostContainer) bool {
		named := func(st Stack) bool { return st.Name == c.Project }
		return slices.ContainsFunc(r.Stays, named) || slices.ContainsFunc(r.Comes, named)
	}
	return slices.DeleteFunc(slices.Clone(r.Report.Engine.Containers), own)
}

// leaves reports whether a container is stopped before any stack comes.
func (r room) leaves(c agentapi.HostContainer) bool { return slices.Contains(r.Leaves, c.Project) }

// owner is a container as people name it.
func owner(c agentapi.HostContainer) string {
	if c.Project == "" {
		return "container " + c.Name
	}
	return "container " + c.Name + " of project " + c.Project
}
