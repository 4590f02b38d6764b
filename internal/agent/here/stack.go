package here

import (
	"fmt"
	"path/filepath"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/memdir"
	"salvor/internal/project"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
)

// A Stack is one stack on this host now: what the host is asked to be, and what the
// stack's seal opens once that is asked for.
type Stack struct {
	Host *Host
	agentapi.Stack
	Spec   agentapi.Host
	Access *Access
}

// At returns a stack on this host, not opened yet.
func (h *Host) At(spec agentapi.Host, st agentapi.Stack) *Stack {
	return &Stack{Host: h, Spec: spec, Stack: st}
}

// Deployment is what the stack is asked to run. Its logins are those of an opened seal.
func (s *Stack) Deployment() stack.Deployment {
	d := stack.Deployment{Stack: s.Name, Epoch: s.Epoch, Commit: s.Spec.Commit, Project: s.Project, Images: s.Images}
	if s.Access != nil {
		d.Logins = s.Access.logins()
	}
	return d
}

// Placed returns a stack of the host's spec, or what the host has of its own.
func (h *Host) Placed(name string) (*Stack, error) {
	spec, err := h.ReadSpec()
	if err != nil {
		return nil, err
	}
	for _, st := range spec.Kept() {
		if st.Name == name {
			return h.At(spec, st), nil
		}
	}
	return nil, fault.WithHint(fmt.Errorf("stack %s is not placed on %s", name, spec.Name), "salvor status")
}

// Variables returns the stack's secret variables, stack.Unknown for the values of those
// that are not opened.
func (s *Stack) Variables() map[string]string {
	values := map[string]string{}
	for _, name := range s.Project.Env {
		values[name] = stack.Unknown
		if s.Access != nil {
			values[name] = string(s.Access.File.Env[name])
		}
	}
	return values
}

// Private makes a folder in memory, for the caller to remove.
func Private(h *Host) (string, error) {
	return memdir.New(append([]string{h.Paths.Run, "/run"}, memdir.Usual()...)...)
}

// AllReady refuses a snapshot of data that is not the stack's: it would become
// the newest.
func (s *Stack) AllReady() error {
	if s.IsOwn() {
		return nil // it was never anywhere else
	}
	facts, unready, err := s.VolumeFacts()
	if err != nil || !unready {
		return err
	}
	for _, v := range s.Protected() {
		f := facts[v.Name]
		if d := snapshot.Decide(f); d.Action != snapshot.Ready {
			return fault.WithHint(fmt.Errorf("stack %s: volume %s is not ready here (%s), so there is nothing to take", s.Name, v.Name, f.Found), "salvor "+
				"plan says why, and what salvor apply would do")
		}
	}
	return nil
}

// Origin returns the repository that names the stack's data: the one that the
// first target's began with.
func Origin(st agentapi.Stack) string {
	if len(st.Targets) == 0 {
		return ""
	}
	return st.Targets[0].Origin()
}

// Protected returns the volumes that snapshots keep, as package snapshot sees
// them.
func (s *Stack) Protected() []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range s.Volumes {
		if v.Protect == fleet.Snapshot {
			volumes = append(volumes, snapshot.Volume{Name: v.Name, Path: s.Host.VolumePath(v), Method: v.Method, Service: v.Service, MountAt: v.MountAt, Omit: v.Omit(), Formerly: v.Formerly})
		}
	}
	return volumes
}

// VolumePath is the folder with a volume's data.
func (h *Host) VolumePath(v project.Volume) string {
	if v.Docker != "" {
		return filepath.Join(h.Paths.Volumes, v.Docker, "_data")
	}
	return v.Path
}

// VolumeFacts returns what this host knows on its own of each protected volume, and
// whether one is not ready.
func (s *Stack) VolumeFacts() (map[string]snapshot.Facts, bool, error) {
	local := s.Host.Local(s.Name)
	all, unready := map[string]snapshot.Facts{}, false
	for _, v := range s.Protected() {
		f := snapshot.Facts{
			Stack: s.Name, Marker: s.Host.Snapshots.Marker(s.Name, v.Name), Identity: s.Identity(v.Name), Epoch: s.Epoch,
			Born: Born(s.Stack, v.Name), Consent: s.Consent, History: snapshot.HistoryUnknown,
		}
		found, err := snapshot.Look(v, f.Marker, f.Identity)
		if err != nil {
			return nil, false, fmt.Errorf("stack %s: volume %s: %w", s.Name, v.Name, err)
		}
		f.Found = found
		_, _, f.Renamed = s.Host.Snapshots.Former(s.Name, v, s.Identity(v.Formerly), s.Epoch)
		f.Ran = f.Born && local.Epoch == s.Epoch && v.Formerly == "" // a renamed one was born under its former name
		all[v.Name] = f
		unready = unready || snapshot.Decide(f).Action != snapshot.Ready
	}
	return all, unready, nil
}

// Identity names a volume's data; where the first target's began stands for the
// stack's history, and another one means that it was started fresh.
func (s *Stack) Identity(volume string) string {
	return snapshot.Identity(s.Spec.Fleet, s.Name, volume, Origin(s.Stack))
}

// Born reports whether the lock knows that a volume held data.
func Born(st agentapi.Stack, volume string) bool {
	for _, v := range st.Volumes {
		if v.Name == volume {
			return !v.Born.IsZero()
		}
	}
	return false
}

// Hydrated returns the volumes that are restored.
func (s *Stack) Hydrated(decided map[string]snapshot.Decision) []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range s.Protected() {
		if decided[v.Name].Action == snapshot.Hydrate {
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// Births returns when each protected volume that the lock does not know yet
// became ready here.
func (s *Stack) Births() map[string]time.Time {
	born := map[string]time.Time{}
	for _, v := range s.Volumes {
		if v.Protect != fleet.Snapshot || !v.Born.IsZero() {
			continue
		}
		if m := s.Host.Snapshots.Marker(s.Name, v.Name); m.State == snapshot.MarkedReady {
			born[v.Name] = m.At
		}
	}
	return born
}

// LocationText is a place on a remote as settings have it, "" for none.
func LocationText(l fleet.Location) string {
	if l == (fleet.Location{}) {
		return ""
	}
	return l.String()
}
