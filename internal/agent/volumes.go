package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/secret"
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

// decisions says for each protected volume what must happen before the stack
// starts. The repository is asked only when a volume is not ready; without
// access it counts as out of reach.
func (k *keeper) decisions(ctx context.Context, s *Stack) (map[string]snapshot.Decision, error) {
	facts, unready, err := s.facts()
	if err != nil {
		return nil, err
	}
	var listed []listing
	var why error
	if unready && s.access != nil {
		listed, why = k.found(ctx, s)
	}
	known := map[string]snapshot.History{}
	if unready && s.access != nil && !errors.Is(why, errMissing) {
		known = histories(s.protected(), listed, why)
	}
	all := map[string]snapshot.Decision{}
	for name, f := range facts {
		if history, ok := known[name]; ok {
			f.History = history
		}
		f.New = s.access == nil
		f.Ran = f.Ran || takenAt(s.Epoch, name, listed)
		all[name] = explained(snapshot.Decide(f), f, why)
	}
	return all, nil
}

// facts returns what this host knows on its own of each protected volume, and whether
// one is not ready.
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

// takenAt reports whether the newest snapshot, damaged or not, has a volume and is of an epoch:
// only the host that holds the claim of an epoch takes snapshots at it, so the
// volume was in use there.
func takenAt(epoch int, volume string, listed []listing) bool {
	var newest snapshot.Info
	for _, l := range listed {
		all := slices.Clone(l.Infos)
		for _, d := range l.Damaged {
			all = append(all, d.Info)
		}
		for _, i := range all {
			if !i.Diverged && snapshot.Compare(i, newest) > 0 {
				newest = i
			}
		}
	}
	return newest.Epoch == epoch && slices.Contains(newest.Volumes, volume)
}

// explained adds to a refusal for want of an answer why there is none: a remote
// that is away is waited for, a password that does not fit is not.
func explained(d snapshot.Decision, f snapshot.Facts, why error) snapshot.Decision {
	if d.Action != snapshot.Refuse || f.History != snapshot.HistoryUnknown || why == nil {
		return d
	}
	if errors.Is(why, secret.ErrLocked) {
		d.Reason = "its data is not ready here, and the password in the sealed file does not open its repository"
		d.Hint = "git log -- sealed/recovery shows when it changed; put the right one back, then salvor apply"
		return d
	}
	if errors.Is(why, errMissing) {
		d.Reason, d.Hint = "its data is not ready here, and its newest snapshot is missing", fault.Hint(why)
	} else if snapshot.IsDamage(why) {
		d.Reason = "its data is not ready here, and its repository on the remote is damaged"
		d.Hint = "salvor snapshot ls STACK lists what is lost"
	}
	d.Reason += ": " + why.Error()
	return d
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

// refusal turns the first refused volume into an error.
func refusal(st agentapi.Stack, decided map[string]snapshot.Decision) error {
	for _, v := range st.Volumes {
		if d := decided[v.Name]; d.Action == snapshot.Refuse {
			return fault.WithHint(fmt.Errorf("stack %s is not started: volume %s: %s", st.Name, v.Name, d.Reason), strings.ReplaceAll(d.Hint, "STACK", st.Name))
		}
	}
	return nil
}

// settle makes ready what needs no snapshot: new volumes, empty, and those whose
// data is here. What is to be restored is marked as such before anything of the
// stack exists, so that what Docker puts there is not taken for data.
func (r *run) settle(s *Stack, decided map[string]snapshot.Decision) error {
	for _, v := range s.protected() {
		m := snapshot.Marker{Identity: s.identity(v.Name), Epoch: s.Epoch}
		d, err := decided[v.Name], error(nil)
		switch d.Action {
		case snapshot.StartEmpty:
			err = r.Snapshots.StartEmpty(s.Name, v, m)
		case snapshot.Rename:
			was, _, _ := r.Snapshots.Former(s.Name, v, s.identity(v.Formerly), s.Epoch)
			err = r.Snapshots.Rename(s.Name, was, v, m)
		case snapshot.Accept:
			r.accept(s, v, m, d.Reason)
		case snapshot.Hydrate:
			err = r.Snapshots.Expect(s.Name, v, m.Identity, m.Epoch)
		}
		if err != nil {
			return fmt.Errorf("stack %s: volume %s: %w", s.Name, v.Name, err)
		}
	}
	return nil
}

// accept uses the data that is in a volume's place, and reports it. Where the marker
// can't be written the stack starts anyway: the data is its own.
func (r *run) accept(s *Stack, v snapshot.Volume, m snapshot.Marker, why string) {
	err := r.Snapshots.Accept(s.Name, v, m)
	r.record(journal.Entry{Kind: "volume", Stack: s.Name, Commit: r.spec.Commit, Text: "volume " + v.Name + " is used as it is on this host: " + why, Error: text(err)})
	r.warn(s.Name, finding.Finding{
		Code: finding.VolumeTaken, Severity: finding.Info, Subject: r.spec.Name + "/" + s.Name + "/" + v.Name,
		Text: "the data on the host was used as it is: " + why, Fix: "nothing to do",
	})
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
