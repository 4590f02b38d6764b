package agent

import (
	"fmt"
	"path/filepath"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// protected returns the volumes that snapshots keep, as package snapshot sees
// them.
func (s *Stack) protected() []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range s.Volumes {
		if v.Protect == fleet.Snapshot {
			volumes = append(volumes, snapshot.Volume{Name: v.Name, Path: s.volumePath(v), Method: v.Method, Service: v.Service, MountAt: v.MountAt, Formerly: v.Formerly})
		}
	}
	return volumes
}

func (h *base) volumePath(v project.Volume) string {
	if v.Docker != "" {
		return filepath.Join(h.Paths.Volumes, v.Docker, "_data")
	}
	return v.Path
}

// facts returns what this host knows by itself of each protected volume, and
// whether one is not ready.
func (s *Stack) facts() (map[string]snapshot.Facts, bool, error) {
	local := s.local(s.Name)
	all, unready := map[string]snapshot.Facts{}, false
	for _, v := range s.protected() {
		f := snapshot.Facts{
			Marker: s.Snapshots.Marker(s.Name, v.Name), Identity: s.identity(v.Name), Epoch: s.Epoch,
			Born: born(s.Stack, v.Name), Consent: s.Consent, History: snapshot.HistoryUnknown,
		}
		found, err := snapshot.Look(v, f.Marker, f.Identity)
		if err != nil {
			return nil, false, fmt.Errorf("stack %s: volume %s: %w", s.Name, v.Name, err)
		}
		f.Found = found
		_, _, f.Renamed = s.Snapshots.Former(s.Name, v, s.identity(v.Formerly), s.Epoch)
		f.Ran = f.Born && local.Epoch == s.Epoch && v.Formerly == "" // a renamed one was born under its former name
		all[v.Name] = f
		unready = unready || snapshot.Decide(f).Action != snapshot.Ready
	}
	return all, unready, nil
}

// identity names a volume's data; where the first target's began stands for the
// stack's history, and another one means that it was started fresh.
func (s *Stack) identity(volume string) string {
	return snapshot.Identity(s.Spec.Fleet, s.Name, volume, origin(s.Stack))
}

func born(st agentapi.Stack, volume string) bool {
	for _, v := range st.Volumes {
		if v.Name == volume {
			return !v.Born.IsZero()
		}
	}
	return false
}

// hydrated returns the volumes that are restored.
func (s *Stack) hydrated(decided map[string]snapshot.Decision) []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range s.protected() {
		if decided[v.Name].Action == snapshot.Hydrate {
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// births returns when each protected volume that the lock does not know yet
// became ready here.
func (s *Stack) births() map[string]time.Time {
	born := map[string]time.Time{}
	for _, v := range s.Volumes {
		if v.Protect != fleet.Snapshot || !v.Born.IsZero() {
			continue
		}
		if m := s.Snapshots.Marker(s.Name, v.Name); m.State == snapshot.MarkedReady {
			born[v.Name] = m.At
		}
	}
	return born
}
