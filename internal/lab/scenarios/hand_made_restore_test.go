package scenarios

import (
	"encoding/json"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/lab/faultproxy"
	"salvor/internal/lab/world"
)

// newest returns a stack's newest snapshot as the operator sees it.
func (h *handMade) newest(t *testing.T, st world.Stack) agentapi.SnapshotRow {
	t.Helper()
	var list agentapi.SnapshotList
	must(t, json.Unmarshal([]byte(h.salvor(t, "snapshot", "ls", st.Name, "--json")), &list))
	if len(list.Snapshots) == 0 {
		t.Fatalf("%s has no snapshot", st.Name)
	}
	var last agentapi.SnapshotRow
	for _, s := range list.Snapshots {
		if !s.Diverged && (s.Epoch > last.Epoch || s.Epoch == last.Epoch && s.Seq > last.Seq) {
			last = s
		}
	}
	return last
}

// restore asks for a snapshot; its host dies in the meantime, so the outcome does not
// matter.
func (h *handMade) restore(t *testing.T, st world.Stack, id string) func() {
	return func() {
		_, err := h.w.Salvor(t.Context(), nil, "restore", st.Name, "--snapshot", id)
		t.Logf("the restore whose host died: %v", err)
	}
}

// restoreCutEarly is V15.1: the power goes during the download, and the boot
// finishes what was asked for.
func (h *handMade) restoreCutEarly(t *testing.T) {
	ctx, st := t.Context(), h.stacks[0]
	taken := h.take(t, st)
	id := h.newest(t, st).ID
	h.write(t)
	must(t, h.on.Hold(ctx, "claimed"))
	done := make(chan struct{})
	go func() { defer close(done); h.restore(t, st, id)() }()
	must(t, h.on.Held(ctx, "claimed"))
	rule := h.w.Faults.Add(faultproxy.Rule{Method: "GET", Path: "**/" + st.Name + "/**/data/**", Fault: faultproxy.Hang()})
	must(t, h.on.LetGo(ctx, "claimed"))
	eventually(t, "the download hangs", func() error { return atLeast(rule.Struck(), 1) })
	must(t, h.on.Kill(ctx))
	<-done
	rule.Lift()
	must(t, h.on.Start(ctx))
	eventually(t, "the boot finishes the restore", func() error {
		return atLeast(h.lost(t, st), 1)
	})
	h.gone(st, taken)
	h.apply(t)
	h.judge(t)
	h.asDeclared(t)
	h.Count("power cuts in a restore", 1)
}

// restoreCutBeforeNote is V15.2: what was written since the boot is not given up
// for the same snapshot once more.
func (h *handMade) restoreCutBeforeNote(t *testing.T) { h.restoreCut(t, "put-placed") }

// restoreCutBeforeStart is V15.3 and 4: the restored data is the newest
// snapshot, and the same snapshot can be asked for again.
func (h *handMade) restoreCutBeforeStart(t *testing.T) {
	h.restoreCut(t, "start")
	st := h.stacks[0]
	again := h.newest(t, st)
	h.write(t)
	h.salvor(t, "restore", st.Name, "--snapshot", again.ID)
	if h.lost(t, st) == 0 {
		t.Error("the same snapshot was asked for again, and nothing was brought back")
	}
	h.gone(st, again.Began)
	h.judge(t)
}

func (h *handMade) restoreCut(t *testing.T, step string) {
	ctx, st := t.Context(), h.stacks[0]
	taken := h.take(t, st)
	id := h.newest(t, st).ID
	h.write(t)
	must(t, h.on.CutAt(ctx, step, h.restore(t, st, id)))
	h.gone(st, taken)
	must(t, h.on.Start(ctx))
	h.write(t) // on the restored data
	h.apply(t)
	h.judge(t)
	h.asDeclared(t)
	if now := h.newest(t, st); now.ID == id || !now.Began.After(taken) {
		t.Errorf("the newest snapshot is %s of %s: a recovery would not bring back what was restored", now.ID, now.Began)
	}
	h.Count("power cuts in a restore", 1)
}
