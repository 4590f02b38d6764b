package deploy

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostkey"
)

// Hold leaves out of this run the stacks that findings name: they stay as they run,
// as those whose files don't load. It reports whether that left out any more, so that
// placements and observations have to be made again.
func (s *Session) Hold(found []finding.Finding) bool {
	more := false
	for i := range s.Fleet.Stacks {
		st := &s.Fleet.Stacks[i]
		named := slices.ContainsFunc(found, func(f finding.Finding) bool { return f.Severity == finding.Fatal && f.Stack == st.Name })
		if !named || s.held[st.Name] {
			continue
		}
		if s.held == nil {
			s.held = map[string]bool{}
		}
		more = more || !st.Broken
		st.Broken, s.held[st.Name] = true, true
	}
	return more
}

// Leave leaves out of this run all stacks but these: they stay as they run, whatever the
// commit says about them, and what is wrong with them is not looked at.
func (s *Session) Leave(but []string) {
	s.left = map[string]bool{}
	for i := range s.Fleet.Stacks {
		if st := &s.Fleet.Stacks[i]; !slices.Contains(but, st.Name) {
			st.Broken, s.left[st.Name] = true, true
		}
	}
	for name := range s.Lock.Stacks {
		s.left[name] = s.left[name] || !slices.Contains(but, name)
	}
	if s.held == nil {
		s.held = map[string]bool{}
	}
	maps.Copy(s.held, s.left)
}

// TakenOver returns a finding for each stack that another host has claimed at the
// epoch of its placement or a later one: it was placed there by a commit that is not
// here. Claims that can't be read are not findings; Apply asks again.
func (s *Session) TakenOver(ctx context.Context, next fleet.Lock) []finding.Finding {
	if s.Fleet.Record.Remote == "" {
		return nil
	}
	owners, err := s.Record.Owners(ctx, slices.Sorted(maps.Keys(next.Stacks)))
	if err != nil {
		return nil
	}
	var found []finding.Finding
	for _, name := range slices.Sorted(maps.Keys(next.Stacks)) {
		p, owner := next.Stacks[name], owners[name]
		if s.left[name] || !s.outrun(p, owner) {
			continue
		}
		by := owner.Host
		if by == p.Host && !s.is(owner, p.Host) {
			by = "a machine with another key than " + hostkey.Path(p.Host) + " has"
		}
		found = append(found, finding.Finding{
			Code: finding.StackTakenOver, Severity: finding.Fatal, Subject: p.Host + "/" + name, Stack: name,
			Text: fmt.Sprintf("%s claimed epoch %d, but here it is placed on %s at epoch %d", by, owner.Epoch, p.Host, p.Epoch),
			Fix:  "git pull --rebase, then salvor plan; if the commit that placed it there was never pushed, push it from there first; salvor claim ls " + name + " shows the claim",
		})
	}
	return found
}

// outrun reports whether another host has a stack at its placement's epoch, or any
// host at a later one.
func (s *Session) outrun(p fleet.Placement, owner Owner) bool {
	return owner.Epoch > p.Epoch || owner.Epoch == p.Epoch && !s.is(owner, p.Host)
}

// Scoped attributes what was found fatal of hosts: to the stack where it is about one
// that is placed there, else to the host, which is then left alone as one that can't be
// reached, with all its stacks: nothing is sealed for it either. So no host keeps another
// from being applied. It returns what is about stacks.
func Scoped(seen map[string]Observation, next fleet.Lock) []finding.Finding {
	var held []finding.Finding
	for host, o := range seen {
		for i := range o.State.Findings {
			f := &o.State.Findings[i]
			if f.Severity != finding.Fatal {
				continue
			}
			if f.Stack = stackOf(*f, host, next); f.Stack != "" {
				held = append(held, *f)
				continue
			}
			for name, p := range next.Stacks {
				if p.Host == host {
					its := *f
					its.Stack, its.Subject = name, host+"/"+name
					held = append(held, its)
				}
			}
			f.Severity, o.Err = finding.Warning, fmt.Errorf("%s: %s", f.Subject, f.Text)
		}
		seen[host] = o
	}
	finding.Sort(held)
	return held
}

// stackOf returns the stack on a host that a finding is about, "" for none.
func stackOf(f finding.Finding, host string, next fleet.Lock) string {
	of := func(name string) bool { p, placed := next.Stacks[name]; return placed && p.Host == host }
	parts := strings.Split(f.Subject, "/")
	switch {
	case of(f.Stack):
		return f.Stack
	case parts[0] == host && len(parts) > 1 && of(parts[1]):
		return parts[1]
	case parts[0] != host && of(parts[0]):
		return parts[0]
	}
	return ""
}
