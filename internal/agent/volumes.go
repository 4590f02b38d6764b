package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
)

// protected returns the volumes that snapshots keep, as package snapshot sees
// them.
func (h *Host) protected(st agentapi.Stack) []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range st.Volumes {
		if v.Protect == fleet.Snapshot {
			volumes = append(volumes, snapshot.Volume{Name: v.Name, Path: h.volumePath(v), Method: v.Method, Service: v.Service})
		}
	}
	return volumes
}

func (h *Host) volumePath(v agentapi.Volume) string {
	if v.Docker != "" {
		return filepath.Join(h.Paths.Volumes, v.Docker, "_data")
	}
	return v.Path
}

// decisions says for each protected volume what must happen before the stack
// starts. The repository is asked only when a volume is not ready; without
// access it counts as out of reach.
func (h *Host) decisions(ctx context.Context, spec agentapi.Host, st agentapi.Stack, a *access) (map[string]snapshot.Decision, error) {
	facts := map[string]snapshot.Facts{}
	unready := false
	for _, v := range h.protected(st) {
		marker, err := h.Snapshots.Marker(st.Name, v.Name)
		if err != nil {
			return nil, err
		}
		f := snapshot.Facts{Marker: marker, Identity: h.identity(spec, st, v.Name), Epoch: st.Epoch, Born: born(st, v.Name), Consent: st.Consent, History: snapshot.HistoryUnknown}
		facts[v.Name] = f
		unready = unready || snapshot.Decide(f).Action != snapshot.Ready
	}
	known := map[string]snapshot.History{}
	var why error
	if unready && a != nil {
		var listed []listing
		listed, why = listings(st.Targets, h.lister(ctx, st, a))
		known = histories(h.protected(st), listed, why)
	}
	all := map[string]snapshot.Decision{}
	for name, f := range facts {
		if history, ok := known[name]; ok {
			f.History = history
		}
		all[name] = explained(snapshot.Decide(f), f, why)
	}
	return all, nil
}

// explained adds to a refusal for want of an answer why there is none: a remote
// that is away is waited for, a password that does not fit is not.
func explained(d snapshot.Decision, f snapshot.Facts, why error) snapshot.Decision {
	if d.Action != snapshot.Refuse || f.History != snapshot.HistoryUnknown || why == nil {
		return d
	}
	if errors.Is(why, secret.ErrLocked) {
		d.Reason = "its data is not ready here, and the repository's password in the seal does not open it"
		d.Hint = "git log -- sealed/recovery shows when it changed; salvor apply, once the right one is back"
		return d
	}
	d.Reason += ": " + why.Error()
	return d
}

// identity names a volume's data; where the first target's began stands for the
// stack's history, and another one means that it was started fresh.
func (h *Host) identity(spec agentapi.Host, st agentapi.Stack, volume string) string {
	return snapshot.Identity(spec.Fleet, st.Name, volume, origin(st))
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

// startEmpty makes new volumes ready, before anything of the stack exists.
func (h *Host) startEmpty(spec agentapi.Host, st agentapi.Stack, decided map[string]snapshot.Decision) error {
	for _, v := range h.protected(st) {
		if decided[v.Name].Action != snapshot.StartEmpty {
			continue
		}
		m := snapshot.Marker{Identity: h.identity(spec, st, v.Name), Epoch: st.Epoch}
		if err := h.Snapshots.StartEmpty(st.Name, v, m); err != nil {
			return err
		}
	}
	return nil
}

// hydrated returns the volumes that are restored.
func (h *Host) hydrated(st agentapi.Stack, decided map[string]snapshot.Decision) []snapshot.Volume {
	var volumes []snapshot.Volume
	for _, v := range h.protected(st) {
		if decided[v.Name].Action == snapshot.Hydrate {
			volumes = append(volumes, v)
		}
	}
	return volumes
}

// births returns when each protected volume that the lock does not know yet
// became ready here.
func (h *Host) births(st agentapi.Stack) (map[string]time.Time, error) {
	born := map[string]time.Time{}
	for _, v := range st.Volumes {
		if v.Protect != fleet.Snapshot || !v.Born.IsZero() {
			continue
		}
		m, err := h.Snapshots.Marker(st.Name, v.Name)
		if err != nil {
			return nil, err
		}
		if m.State == snapshot.MarkedReady {
			born[v.Name] = m.At
		}
	}
	return born, nil
}
