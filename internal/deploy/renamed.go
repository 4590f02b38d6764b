package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
)

// bornAs returns when a volume came to life, under its name or the one before.
func bornAs(p fleet.Placement, v agentapi.Volume) time.Time {
	if born := p.Volumes[v.Name].Born; !born.IsZero() || v.Formerly == "" {
		return born
	}
	return p.Volumes[v.Formerly].Born
}

// Rename returns placements in which volumes have the names that they have now,
// and without those that the operator let go of.
func (s *Session) Rename(next fleet.Lock) fleet.Lock {
	lock := next.Copy()
	for name, p := range lock.Stacks {
		p = clone(p)
		for _, v := range s.Stacks[name].Volumes {
			if was, known := p.Volumes[v.Formerly]; known && p.Volumes[v.Name].Born.IsZero() {
				delete(p.Volumes, v.Formerly)
				p.Volumes[v.Name] = was
			}
		}
		if s.Consent[name] == agentapi.ConsentEmpty {
			for _, gone := range s.gone(name, p) {
				delete(p.Volumes, gone)
			}
		}
		lock.Stacks[name] = p
	}
	return lock
}

// gone returns the volumes that had data and that a stack mounts no more, sorted.
func (s *Session) gone(stack string, p fleet.Placement) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Volumes)) {
		mounted := slices.ContainsFunc(s.Stacks[stack].Volumes, func(v agentapi.Volume) bool { return v.Name == name || v.Formerly == name })
		if !mounted && !p.Volumes[name].Born.IsZero() {
			names = append(names, name)
		}
	}
	return names
}

// unborn returns a stack's volumes that would start empty.
func (s *Session) unborn(stack string, p fleet.Placement) []agentapi.Volume {
	return slices.DeleteFunc(slices.Clone(s.Stacks[stack].Volumes), func(v agentapi.Volume) bool {
		return v.Protect != fleet.Snapshot || !bornAs(p, v).IsZero()
	})
}

// RenameFindings asks about volumes that would start empty while others, or
// another stack's of the same name, are gone: they may have been renamed.
func (s *Session) RenameFindings() []finding.Finding {
	var found []finding.Finding
	for _, st := range s.Fleet.Stacks {
		if s.Consent[st.Name] != "" {
			continue
		}
		p, placed := s.Lock.Placement(st.Name)
		fresh := s.unborn(st.Name, p)
		if len(fresh) == 0 {
			continue
		}
		f := finding.Finding{Code: finding.VolumeRenamed, Severity: finding.Fatal, Subject: st.Name + "/" + fresh[0].Name}
		if gone := s.gone(st.Name, p); placed && len(gone) > 0 {
			f.Text = fmt.Sprintf("the volume would start empty, while the stack no longer mounts %s, which had data", asWritten(gone[0]))
			f.Fix = fmt.Sprintf("x-salvor: {volumes: {%s: {formerly: %s}}} when it was renamed; salvor apply --empty %s when it was not", fresh[0].Source, asWritten(gone[0]), st.Name)
			found = append(found, f)
		} else if was := s.formerStack(st, fresh); !placed && was != "" {
			f.Text = fmt.Sprintf("the stack would start empty, while stack %s, which had data, is no longer declared; this version can't rename a stack", was)
			f.Fix = fmt.Sprintf("give it its name %s again to keep its data; salvor apply --empty %s starts it as a new one", was, st.Name)
			found = append(found, f)
		}
	}
	return found
}

// asWritten is a volume's name as a Compose file has it: binds by their source.
func asWritten(name string) string {
	rest, bind := strings.CutPrefix(name, "@")
	switch rest = strings.ReplaceAll(rest, "@", "/"); {
	case !bind:
		return name
	case strings.HasPrefix(rest, "/"):
		return rest
	}
	return "./" + rest
}

// formerStack returns the stack that is no longer declared and whose data a new
// one may be meant to have: the one that it names, or one with such a volume.
func (s *Session) formerStack(st fleet.Stack, fresh []agentapi.Volume) string {
	for _, name := range slices.Sorted(maps.Keys(s.Lock.Stacks)) {
		if _, declared := s.Fleet.Stack(name); declared {
			continue
		}
		p := s.Lock.Stacks[name]
		same := slices.ContainsFunc(fresh, func(v agentapi.Volume) bool { return !p.Volumes[v.Name].Born.IsZero() })
		if st.Formerly == name && len(p.Volumes) > 0 || same {
			return name
		}
	}
	return ""
}
