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
	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
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
	histories := map[string]snapshot.History{}
	var why error
	if unready && a != nil {
		histories, why = h.histories(ctx, st, a)
	}
	all := map[string]snapshot.Decision{}
	for name, f := range facts {
		if history, known := histories[name]; known {
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

// identity names a volume's data; the first target's repository stands for the
// stack's history, and another one means that it was started fresh.
func (h *Host) identity(spec agentapi.Host, st agentapi.Stack, volume string) string {
	repository := ""
	if len(st.Targets) > 0 {
		repository = st.Targets[0].Repository
	}
	return snapshot.Identity(spec.Fleet, st.Name, volume, repository)
}

func born(st agentapi.Stack, volume string) bool {
	for _, v := range st.Volumes {
		if v.Name == volume {
			return !v.Born.IsZero()
		}
	}
	return false
}

// histories says what the stack's repositories hold of each volume. Volumes
// without an entry are unknown: no target answered, for the reason returned.
func (h *Host) histories(ctx context.Context, st agentapi.Stack, a *access) (map[string]snapshot.History, error) {
	histories := map[string]snapshot.History{}
	var why error
	for _, t := range st.Targets {
		infos, err := h.list(ctx, st, a, t)
		if err != nil {
			why = errors.Join(why, fmt.Errorf("%s: %w", t.Name, err))
			continue
		}
		newest, some := snapshot.Newest(infos)
		for _, v := range h.protected(st) {
			switch {
			case some && slices.Contains(newest.Volumes, v.Name):
				histories[v.Name] = snapshot.HistorySome
			case histories[v.Name] == "":
				histories[v.Name] = snapshot.HistoryNone
			}
		}
	}
	return histories, why
}

// list returns a target's snapshots of the stack; a repository that was never
// made lists as empty.
func (h *Host) list(ctx context.Context, st agentapi.Stack, a *access, t agentapi.Target) ([]snapshot.Info, error) {
	r, err := a.repository(ctx, st.Name, t)
	if err != nil {
		return nil, err
	}
	defer r.close(ctx) //nolint:errcheck // nothing was written
	exists, err := repository.Exists(ctx, r.Store)
	if err != nil || !exists {
		return nil, err
	}
	return snapshot.List(ctx, r.Repository)
}

// newest returns the target that has the newest usable snapshot.
func (h *Host) newest(ctx context.Context, st agentapi.Stack, a *access) (agentapi.Target, snapshot.Info, error) {
	var best snapshot.Info
	var where agentapi.Target
	found := false
	var errs []error
	for _, t := range st.Targets {
		infos, err := h.list(ctx, st, a, t)
		errs = append(errs, err)
		if info, some := snapshot.Newest(infos); some && (!found || snapshot.Compare(info, best) > 0) {
			best, where, found = info, t, true
		}
	}
	if !found {
		return where, best, errors.Join(append(errs, fmt.Errorf("%s: %w", st.Name, snapshot.ErrNoSnapshot))...)
	}
	return where, best, nil
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
