package scenarios

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/progress"
)

func atLeast(n, want int) error {
	if n < want {
		return fmt.Errorf("%d so far", n)
	}
	return nil
}

// moveRunAgain is V5: a move that was killed before its push is run again after
// another operator has started its stack where it was.
func (h *handMade) moveRunAgain(t *testing.T) {
	ctx, st := t.Context(), h.stacks[2]
	other, err := h.w.Clone(ctx, "second")
	must(t, err)
	if !killSalvor(t, h.w, 2*time.Minute, func(e progress.Event) bool {
		return e.Step == "commit" && e.State == progress.Done && e.Host == "home"
	}, "move", st.Name, "--to", h.beta.Name) {
		t.Fatal("the move was over before it was killed")
	}
	_, err = other.Salvor(ctx, nil, "apply")
	must(t, err)
	must(t, h.w.Pull(ctx)) // it noted in the lock which snapshots are proven
	h.write(t)
	h.salvor(t, "move", st.Name, "--to", h.beta.Name)
	owner := h.on
	h.on = h.beta
	writesAfter(t, h.c, st.Name, time.Now())
	if lost := h.lost(t, st); lost > 0 {
		t.Errorf("%s: %d rows are lost", st.Name, lost)
	}
	h.salvor(t, "move", st.Name, "--to", owner.Name)
	h.on = owner
	h.judge(t)
	h.asDeclared(t)
}

// damagedThenLost is V6 and V8: one stack's remote loses a pack, which reading back
// finds, and a snapshot is taken; another's newest snapshot does not read back. Then
// their host is lost.
func (h *handMade) damagedThenLost(t *testing.T) {
	ctx, healed, older := t.Context(), h.stacks[0], h.stacks[2]
	ballast := exec(t, h.on, "head -c 3M /dev/urandom >"+notesVolume+"/ballast; sha256sum <"+notesVolume+"/ballast")
	h.take(t, healed)
	h.drop(t, h.largest(t, healed.Name))
	exec(t, h.on, "rm -f /var/lib/salvor/placements/"+healed.Name+".json.reread")
	eventually(t, "reading back tells of the lost pack", func() error {
		out, err := h.w.Salvor(ctx, nil, "status")
		if err == nil && !strings.Contains(out, "snapshot-unverified") {
			err = fmt.Errorf("status: %s", out)
		}
		return err
	})
	taken := h.take(t, h.stacks...)
	before := h.objects(t, older.Name, "data")
	h.write(t)
	h.take(t, older)
	for file := range h.objects(t, older.Name, "data") {
		if _, old := before[file]; !old {
			h.drop(t, file)
		}
	}
	h.lose(t, taken)
	if back := exec(t, h.on, "sha256sum <"+notesVolume+"/ballast"); back != ballast {
		t.Error("what was in the lost pack, and on the host, did not come back")
	}
	h.judge(t)
}

// largest is a stack's largest pack: the one with what never changes.
func (h *handMade) largest(t *testing.T, stack string) (largest string) {
	t.Helper()
	most := int64(-1)
	for file := range h.objects(t, stack, "data") {
		info, err := os.Stat(file)
		must(t, err)
		if info.Size() > most {
			largest, most = file, info.Size()
		}
	}
	return largest
}

// lose cuts the owner's power permanently and recovers what it had from snapshots.
func (h *handMade) lose(t *testing.T, taken time.Time) {
	t.Helper()
	h.dead = h.on
	must(t, h.on.Kill(t.Context()))
	h.recover(t, h.other())
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
}

// recover has every stack recovered to another host.
func (h *handMade) recover(t *testing.T, to *lab.Host, flags ...string) {
	t.Helper()
	t.Log(h.salvor(t, append([]string{"recover", h.on.Name, "--to", to.Name}, flags...)...))
	h.on = to
	h.Count("recoveries", 1)
}

// claimsLost is V9: the remote loses the newest claims, and the host that has
// lost its stacks comes back. Git, which it reaches, says whose they are.
func (h *handMade) claimsLost(t *testing.T) {
	if h.dead == nil { // when it is tried alone
		h.lose(t, h.take(t, h.stacks...))
	}
	lock := readLock(t, h.w)
	for _, st := range h.stacks {
		claims, err := filepath.Glob(filepath.Join(h.w.Remote.Dir, filepath.FromSlash(lock.Record.Path), "claims", st.Name, fmt.Sprintf("%d-*", lock.Stacks[st.Name].Epoch)))
		must(t, err)
		if len(claims) != 1 {
			t.Fatalf("claims of %s: %v", st.Name, claims)
		}
		must(t, os.Remove(claims[0]))
		h.Count("claims lost", 1)
	}
	back := h.dead
	must(t, back.Start(t.Context()))
	h.dead = nil
	fenced(t, back, h.stacks)
	h.judge(t)
	h.apply(t)
	for _, st := range h.stacks {
		if claims := claimsOf(t, h.w, st.Name); claims[lock.Stacks[st.Name].Epoch] != 1 {
			t.Errorf("claims of %s after an apply: %v", st.Name, claims)
		}
	}
	h.judge(t)
}

// other is the host that owns nothing.
func (h *handMade) other() *lab.Host {
	if h.on == h.alpha {
		return h.beta
	}
	return h.alpha
}

// recoveredAlive is V10: the old host is alive, and the operator can't reach it.
// Where there is time, then the same with --accept-loss and a host that answers.
func (h *handMade) recoveredAlive(t *testing.T) {
	old, to := h.on, h.other()
	taken := h.take(t, h.stacks...)
	h.write(t)
	exec(t, old, "systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh")
	h.recover(t, to)
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	h.judge(t)
	exec(t, old, "systemctl start ssh")
	stopsAll(t, old)

	if !h.Full {
		return
	}
	t.Log("and back, with the old host in reach")
	taken = h.take(t, h.stacks...)
	h.write(t)
	h.recover(t, old, "--accept-loss")
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	stopsAll(t, to)
	h.judge(t)
}
