package twin

import (
	"time"

	"salvor/internal/lab/twin/remote"
	"salvor/internal/machine"
)

// setCut cuts a host off from everything, or connects it again.
func (w *world) setCut(h *host, cut bool) {
	w.mu.Lock()
	w.cut[h.name] = cut
	var lost []*link
	for l := range w.links {
		if cut && l.host == h {
			lost = append(lost, l)
		}
	}
	w.mu.Unlock()
	for _, l := range lost {
		l.end(machine.ErrUnreachable)
	}
	w.note("%s is %s", h.name, map[bool]string{true: "cut off", false: "connected"}[cut])
	w.reachChanged()
}

// setAway takes Git or the remote away, or brings it back.
func (w *world) setAway(what string, away bool) {
	w.mu.Lock()
	w.away[what] = away
	w.mu.Unlock()
	if what == "git" {
		w.git.SetAway(away)
	}
	w.note("%s is %s", what, map[bool]string{true: "away", false: "back"}[away])
	w.reachChanged()
}

// reachChanged notes since when each host could stop what it has lost.
func (w *world) reachChanged() {
	for _, h := range w.hosts {
		w.mu.Lock()
		reaches := !w.cut[h.name] && (!w.away["git"] || !w.away["remote"])
		w.mu.Unlock()
		h.mu.Lock()
		switch able := reaches && h.on && h.daemon != nil; {
		case !able:
			h.able = time.Time{}
		case h.able.IsZero():
			h.able = time.Now()
		}
		h.mu.Unlock()
	}
}

// heal lifts every fault and powers every host on.
func (w *world) heal() error {
	w.remote.Set(remote.Faults{})
	w.setAway("git", false)
	w.setAway("remote", false)
	for _, h := range w.hosts {
		w.setCut(h, false)
		h.mu.Lock()
		h.cutAt = 0
		h.mu.Unlock()
		if err := h.powerOn(); err != nil {
			return err
		}
	}
	return nil
}
