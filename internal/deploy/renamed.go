package deploy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostspec"
	"salvor/internal/placement"
	"salvor/internal/project"
)

// Rename returns placements in which volumes have the names that they have now, and
// without those that the operator gave up.
func (s *Session) Rename(next fleet.Lock) fleet.Lock {
	for name, p := range next.Stacks {
		now := map[string]string{}
		for _, v := range s.Stacks[name].Volumes {
			if v.Formerly != "" {
				now[v.Formerly] = v.Name
			}
		}
		var gone []string
		if s.Consent[name] == project.ConsentEmpty {
			gone = s.gone(name, p)
		}
		next = placement.RenameVolumes(next, name, now, gone)
	}
	return next
}

// gone returns the volumes that had data and that a stack mounts no more, sorted.
func (s *Session) gone(stack string, p fleet.Placement) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		mounted := slices.ContainsFunc(s.Stacks[stack].Volumes, func(v project.Volume) bool { return v.Name == name || v.Formerly == name })
		if !mounted && !p.Volumes[name].Born.IsZero() {
			names = append(names, name)
		}
	}
	return names
}

// unborn returns a stack's volumes that would start empty.
func (s *Session) unborn(stack string, p fleet.Placement) []project.Volume {
	return slices.DeleteFunc(slices.Clone(s.Stacks[stack].Volumes), func(v project.Volume) bool {
		return v.Protect != fleet.Snapshot || !hostspec.BornAs(p, v).IsZero()
	})
}

// RenameFindings asks about volumes that would start empty while others, or
// another stack's of the same name, are gone: they may have been renamed.
func (s *Session) RenameFindings() []finding.Finding {
	var found []finding.Finding
	for _, st := range s.Fleet.Stacks {
		if s.Consent[st.Name] != "" || s.left[st.Name] {
			continue
		}
		p, placed := s.Lock.Placement(st.Name)
		if was := s.formerStack(nil); st.Broken && !placed && was != "" {
			found = append(found, finding.Finding{
				Code: finding.VolumeRenamed, Severity: finding.Fatal, Subject: st.Name,
				Text: fmt.Sprintf("the stack does not load, and stack %s, which has data, is no longer declared: it may "+
					"be the same stack under a new name", was),
				Fix: "correct its Compose file first; salvor check says what is wrong",
			})
		}
		fresh := s.unborn(st.Name, p)
		if len(fresh) == 0 {
			continue
		}
		f := finding.Finding{Code: finding.VolumeRenamed, Severity: finding.Fatal, Subject: st.Name + "/" + fresh[0].Name}
		if gone := s.gone(st.Name, p); placed && len(gone) > 0 {
			f.Text = fmt.Sprintf("the volume would start empty, and the stack no longer mounts %s, which had data", project.AsWritten(gone[0]))
			f.Fix = fmt.Sprintf("if it was renamed: x-salvor: {volumes: {%s: {formerly: %s}}}; if not: salvor apply --empty %s", fresh[0].Source, project.AsWritten(gone[0]), st.Name)
			found = append(found, f)
		} else if was := s.formerStack(fresh); !placed && was != "" {
			f.Text = fmt.Sprintf("the stack would start empty, and stack %s, which had data, is no longer declared", was)
			f.Fix = fmt.Sprintf("if it was renamed: x-salvor: {formerly: %s}; if not: salvor apply --empty %s starts it as a new stack", was, st.Name)
			found = append(found, f)
		}
	}
	return found
}

// formerStack returns the stack that is no longer declared and whose data a new
// one may be meant to have: one with such a volume, or with any for a new one whose
// volumes are not known.
func (s *Session) formerStack(fresh []project.Volume) string {
	for _, name := range slices.Sorted(maps.Keys(s.Lock.Stacks)) {
		if _, declared := s.Fleet.Stack(name); declared {
			continue
		}
		p := s.Lock.Stacks[name]
		if fresh == nil && len(p.Volumes) > 0 || slices.ContainsFunc(fresh, func(v project.Volume) bool { return !p.Volumes[v.Name].Born.IsZero() }) {
			return name
		}
	}
	return ""
}

// Rename adds to a plan that stacks are called otherwise from now on: the apply notes
// it in the lock, and nothing else happens to them.
func (p *Plan) Rename(renamed []fleet.Stack, lock fleet.Lock) {
	for _, st := range renamed {
		for i := range p.Hosts {
			if hp := &p.Hosts[i]; hp.Host == lock.Stacks[st.Name].Host && hp.Unreachable == "" {
				hp.Changes = append(hp.Changes, agentapi.Change{Stack: st.Name, ID: string(agentapi.ChangeName), Action: "~", Cause: renamedCause(st)})
				slices.SortStableFunc(hp.Changes, func(a, b agentapi.Change) int { return cmp.Compare(a.Stack, b.Stack) })
			}
		}
	}
	p.Fingerprint = fingerprint(p.Hosts)
}

func renamedCause(st fleet.Stack) string {
	if st.Called == "" {
		return "renamed: called " + st.Name + " again"
	}
	return fmt.Sprintf("renamed: now called %s; it keeps running, as %s on hosts and remotes", st.Called, st.Name)
}
