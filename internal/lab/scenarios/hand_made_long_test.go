package scenarios

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/lab"
	"salvor/internal/lab/faultproxy"
	"salvor/internal/lab/oracle"
	"salvor/internal/lab/world"
)

// crashingSidecar is V2: one service of a stack crashes all the time; the other
// is in snapshots and is never left paused.
func (h *handMade) crashingSidecar(t *testing.T) {
	images, err := h.w.Images(t.Context())
	must(t, err)
	h.add(t, "loop", fmt.Sprintf(`x-salvor: {host: %s}
services:
  web: {image: %q, volumes: ["books:/books"]}
  side: {image: %q, restart: always, volumes: ["books:/books"], command: [sh, -c, "test -e /books/bad && exit 1; sleep 10000"]}
volumes: {books: {}}
`, h.on.Name, images.Nginx, images.Nginx))
	h.apply(t)
	exec(t, h.on, "touch /var/lib/docker/volumes/loop_books/_data/bad; docker kill loop-side-1")
	for range 5 {
		h.salvor(t, "snapshot", "take", "loop")
		if paused := exec(t, h.on, "docker ps -q --filter status=paused"); paused != "" {
			t.Errorf("after a snapshot these are paused: %s", paused)
		}
	}
	withdraw(t, h.w, "loop")
	h.judge(t)
}

// occupied is V3: see TestOccupied.
func (h *handMade) occupied(t *testing.T) {
	images, err := h.w.Images(t.Context())
	must(t, err)
	st := world.Stack{Name: "diary", Store: "sqlite", Host: h.on.Name, Port: 8090, Every: "20ms", Size: 100}
	url := listen(t, h.Lab, h.c)
	byHand(t, h.on, st, images, url)
	before := lodging(t, h.on, st.Name)
	h.add(t, st.Name, st.Compose(images, url))
	if _, err := h.w.Salvor(t.Context(), nil, "apply"); err == nil || !strings.Contains(err.Error(), "volume-occupied") {
		t.Errorf("an apply over a running project: %v", err)
	}
	undisturbed(t, h.Scenario, h.c, h.on, st, before)
	exec(t, h.on, "cd /srv/diary && docker compose down -v 2>&1")
	withdraw(t, h.w, st.Name)
	h.judge(t)
}

// strayFiles is V7: what a NAS leaves in folders, one flipped bit and a damaged
// index hide no good snapshot.
func (h *handMade) strayFiles(t *testing.T) {
	st := h.stacks[2]
	h.take(t, st)
	newest := h.newest(t, st).ID
	flipped := ""
	for file := range h.objects(t, st.Name, "snapshots") {
		if filepath.Base(file) != newest {
			flipped = file
		}
	}
	flipBit(t, flipped)
	h.damageIndex(t, st.Name)
	repo := filepath.Dir(filepath.Dir(flipped))
	for _, name := range []string{"snapshots/Thumbs.db", "locks/.nfs0001", "keys/.nfs0002", "index/desktop.ini"} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(repo, name)), 0o700))
		must(t, os.WriteFile(filepath.Join(repo, name), []byte("stray"), 0o600))
	}
	h.salvor(t, "snapshot", "ls", st.Name)
	taken := time.Now()
	if said := h.salvor(t, "snapshot", "take", st.Name); !strings.Contains(said, "lost parts of the repository repaired") {
		t.Errorf("the index was not repaired: %s", said)
	}
	h.write(t)
	h.salvor(t, "restore", st.Name, "--snapshot", h.newest(t, st).ID)
	h.gone(st, taken)
	h.judge(t)
}

// damageIndex removes one index object of a stack's repository and flips a bit in
// the others, where the host's restic repairs with "repair index".
func (h *handMade) damageIndex(t *testing.T, stack string) {
	version := exec(t, h.on, "restic version")
	var minor int
	if _, err := fmt.Sscanf(version, "restic 0.%d.", &minor); err != nil || minor < 16 {
		t.Errorf("restic repairs otherwise: %s", version)
	}
	removed := false
	for file := range h.objects(t, stack, "index") {
		if removed {
			flipBit(t, file)
			continue
		}
		must(t, os.Remove(file))
		removed = true
	}
}

func flipBit(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	must(t, err)
	content[len(content)/2] ^= 1
	must(t, os.WriteFile(file, content, 0o600))
}

// settingsChange is V14: what only changes a host's settings is a change.
func (h *handMade) settingsChange(t *testing.T) {
	fleet, err := h.w.Read("fleet.yaml")
	must(t, err)
	must(t, h.w.Write("fleet.yaml", strings.Replace(fleet, "every: 15m", "every: 7m", 1)))
	must(t, h.w.Commit(t.Context(), "more often"))
	if _, err := h.w.Salvor(t.Context(), nil, "plan", "--check"); err == nil {
		t.Error("other settings are no change for plan")
	}
	h.apply(t)
	if spec := exec(t, h.on, "cat /etc/salvor/fleet.json"); !strings.Contains(spec, fmt.Sprint(int64(7*time.Minute))) {
		t.Errorf("the host goes on as before: %s", spec)
	}
	h.asDeclared(t)
	h.judge(t)
}

// upgradeFails is V16: see TestUpgradeFails.
func (h *handMade) upgradeFails(t *testing.T) {
	images, err := h.w.Images(t.Context())
	must(t, err)
	u := &upgrading{Scenario: h.Scenario, w: h.w, c: h.c, alpha: h.on, stacks: h.stacks[:1], since: h.began}
	u.next(t, images)
	file := "stacks/" + u.stacks[0].Name + "/compose.yaml"
	before, err := h.w.Read(file)
	must(t, err)
	must(t, h.w.Write(file, impatient(before)))
	must(t, h.w.Commit(t.Context(), "less patience"))
	h.apply(t)
	u.fail(t, 1, func() { u.refused(t) })
	must(t, h.w.Write(file, before))
	must(t, h.w.Commit(t.Context(), "patience"))
	h.apply(t)
	h.judge(t)
}

// renamed is V17: a stack and a volume under other names keep their data.
func (h *handMade) renamed(t *testing.T) {
	ctx, st := t.Context(), h.stacks[0]
	compose, err := h.w.Read("stacks/" + st.Name + "/compose.yaml")
	must(t, err)
	rename := func(from, to string) {
		must(t, os.Rename(filepath.Join(h.w.Dir, "stacks", from), filepath.Join(h.w.Dir, "stacks", to)))
		must(t, h.w.Write("stacks/"+to+"/compose.yaml", strings.Replace(compose, "  host:", "  formerly: "+from+"\n  host:", 1)))
		must(t, h.w.Commit(ctx, from+" is called "+to))
		h.apply(t)
		h.judge(t)
	}
	rename(st.Name, "diary2")
	rename("diary2", st.Name)
	must(t, h.w.Write("stacks/"+st.Name+"/compose.yaml", compose))
	must(t, h.w.Commit(ctx, "renamed for good"))
	h.apply(t)
	h.judge(t)
}

// clockAhead is V18: a time in the future counts as none.
func (h *handMade) clockAhead(t *testing.T) {
	st := h.stacks[0]
	before := h.newest(t, st)
	future := time.Now().Add(240 * time.Hour).UTC().Format(time.RFC3339)
	exec(t, h.on, fmt.Sprintf(`f=/var/lib/salvor/placements/%s.json.snapshot; sed -i -E 's/"(tried|good)":"[^"]*"/"\1":"%s"/g' $f; grep -q %s $f`, st.Name, future, future))
	eventually(t, "the next snapshot", func() error { return atLeast(h.newest(t, st).Seq, before.Seq+1) })
	h.judge(t)
}

// killedWhilePaused is V21: every process that paused a stack is dead, and the stack
// continues anyway.
func (h *handMade) killedWhilePaused(t *testing.T) {
	ctx, st := t.Context(), h.stacks[0]
	must(t, h.on.Hold(ctx, "paused"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := h.w.Salvor(ctx, nil, "snapshot", "take", st.Name)
		t.Logf("the snapshot that was killed: %v", err)
	}()
	must(t, h.on.Held(ctx, "paused"))
	must(t, h.on.LetGo(ctx, "paused"))
	exec(t, h.on, `for p in /proc/[0-9]*; do case "$(tr '\0' ' ' <$p/cmdline)" in *"salvord "[s]"napshot "*|*"salvord "[g]"uard "*) echo ${p#/proc/};; esac; done 2>/dev/null | xargs -r kill -9`) // not this shell, whose command has brackets
	<-done
	h.judge(t)
}

// remoteEmptied is V22: a remote without its disk is not a new one.
func (h *handMade) remoteEmptied(t *testing.T) {
	st := h.stacks[0]
	all := filepath.Join(h.w.Remote.Dir, "salvor")
	must(t, os.Rename(all, all+".away"))
	if _, err := h.w.Salvor(t.Context(), nil, "snapshot", "take", st.Name); err == nil {
		t.Error("a snapshot began a new repository where the old one was")
	}
	must(t, os.RemoveAll(all))
	must(t, os.Rename(all+".away", all))
	h.take(t, st)
	h.judge(t)
}

// newestNotListed is V12: a snapshot that is known and not listed yet is waited
// for.
func (h *handMade) newestNotListed(t *testing.T) {
	ctx := t.Context()
	h.write(t)
	taken := h.take(t, h.stacks...)
	var rules []*faultproxy.Active
	for _, st := range h.stacks {
		hidden := faultproxy.Hide("**/snapshots/" + h.newest(t, st).ID)
		rules = append(rules, h.w.Faults.Add(faultproxy.Rule{Method: "PROPFIND", Path: "**/" + st.Name + "/**", Fault: hidden}))
	}
	must(t, h.on.Kill(ctx))
	lost := h.on
	done := make(chan error, 1)
	go func() {
		_, err := h.w.Salvor(ctx, nil, "recover", lost.Name, "--to", h.other().Name)
		done <- err
	}()
	for _, r := range rules {
		eventually(t, "the listing is asked for", func() error { return atLeast(r.Struck(), 1) })
	}
	<-time.After(2 * time.Second)
	for _, r := range rules {
		r.Lift()
	}
	if err := <-done; err != nil {
		t.Logf("the first recover: %v", err)
		h.salvor(t, "recover", lost.Name, "--to", h.other().Name)
	}
	h.on = h.other()
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	h.judge(t)
	must(t, lost.Start(ctx))
	fenced(t, lost, h.stacks)
}

// pruneWithoutClaim is V11: a host that is frozen in the midst of a prune has
// lost its claim when it thaws, and deletes nothing more.
func (h *handMade) pruneWithoutClaim(t *testing.T) {
	ctx, st, old, to := t.Context(), h.stacks[2], h.on, h.other()
	fleet, err := h.w.Read("fleet.yaml")
	must(t, err)
	must(t, h.w.Write("fleet.yaml", strings.Replace(fleet, "last: 50, daily: 14", "last: 1", 1)))
	must(t, h.w.Commit(ctx, "only the newest"))
	h.apply(t)
	taken := h.take(t, h.stacks...)
	h.write(t)
	must(t, old.Hold(ctx, "prune-delete"))
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := h.w.Salvor(ctx, nil, "snapshot", "take", st.Name)
		t.Logf("the snapshot whose host froze: %v", err)
	}()
	must(t, old.Held(ctx, "prune-delete"))
	must(t, old.LetGo(ctx, "prune-delete"))
	must(t, old.Freeze(ctx))
	h.recover(t, to)
	for _, other := range h.stacks {
		writesAfter(t, h.c, other.Name, time.Now())
		h.gone(other, taken)
	}
	after := h.objects(t, st.Name, "data")
	h.comesBack(t, old, old.Thaw)
	<-done
	now := h.objects(t, st.Name, "data")
	for file := range after {
		if _, there := now[file]; !there {
			t.Errorf("a host without a claim deleted %s", filepath.Base(file))
		}
	}
	must(t, h.w.Write("fleet.yaml", fleet))
	must(t, h.w.Commit(ctx, "as before"))
	h.apply(t)
	h.judge(t)
}

// leaseBound is how long a host that comes back may write before it knows better.
const leaseBound = 20 * time.Second

// comesBack has a host that was frozen or cut off, and has lost its stacks, reach
// others again. Its containers are seen before it can look around: what they write
// until it has stopped them is in no snapshot, the seconds are printed, and there
// is a bound.
func (h *handMade) comesBack(t *testing.T, old *lab.Host, how func(context.Context) error) {
	t.Helper()
	began := time.Now()
	must(t, how(t.Context()))
	fenced(t, old, h.stacks)
	stopsAll(t, old)
	for _, st := range h.stacks {
		for _, ack := range acksFrom(h.c, st.Name, old, began.Add(leaseBound)) {
			t.Errorf("%s: a host that came back at %s still wrote at %s", st.Name, began, ack.At)
			break
		}
		together := h.c.Only(func(a oracle.Ack) bool { return a.At.After(began) }).Together(st.Name)
		h.Count("seconds with two writers after a host came back", together)
		h.gone(st, began)
	}
	h.began = time.Now()
}

// neverTaken is V13: the data of a stack that never had a snapshot is on a host
// that comes back, and is taken.
func (h *handMade) neverTaken(t *testing.T) {
	ctx, old := t.Context(), h.on
	images, err := h.w.Images(ctx)
	must(t, err)
	late := world.Stack{Name: "late", Store: "sqlite", Host: old.Name, Port: 8091, Every: "20ms", Size: 100}
	rule := h.w.Faults.Add(faultproxy.Rule{Method: "PUT", Path: "**/snapshots/late/**", Fault: faultproxy.Status(507)})
	t.Cleanup(rule.Lift) // whatever ends this
	h.add(t, late.Name, late.Compose(images, listen(t, h.Lab, h.c)))
	h.apply(t)
	writesAfter(t, h.c, late.Name, time.Now())
	taken := h.take(t, h.stacks...)
	must(t, old.CutOff(ctx))
	if _, err := h.w.Salvor(ctx, nil, "recover", old.Name, "--to", h.other().Name); err == nil {
		t.Error("a stack that has no data was recovered")
	}
	rule.Lift()
	h.comesBack(t, old, old.Reconnect)
	h.on = h.other()
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	h.add(t, late.Name, late.Compose(images, listen(t, h.Lab, h.c))) // back to its first host
	h.salvor(t, "apply", "--take", late.Name)
	eventually(t, "late writes again", func() error {
		return atLeast(len(acksFrom(h.c, late.Name, old, time.Now().Add(-10*time.Second))), 10)
	})
	holdsAll(t, h.Scenario, h.c, old, late)
	withdraw(t, h.w, late.Name)
	h.judge(t)
}

// twoRecoverWithoutGit is V20: with Git down the claim that hosts obey decides, and
// the loser's clone does not stop the other when Git is back.
func (h *handMade) twoRecoverWithoutGit(t *testing.T) {
	ctx, lost, to := t.Context(), h.on, h.other()
	spare(t, h.w, "gamma")
	h.apply(t)
	other, err := h.w.Clone(ctx, "third")
	must(t, err)
	taken := h.take(t, h.stacks...)
	must(t, lost.Kill(ctx))
	must(t, h.w.Git.Down(ctx))
	h.recover(t, to)
	if out, err := other.Salvor(ctx, nil, "recover", lost.Name, "--to", "gamma"); err == nil {
		t.Errorf("the second recovery went well, too:\n%s", out)
	} else {
		t.Log(err)
	}
	for _, st := range h.stacks {
		writesAfter(t, h.c, st.Name, time.Now())
		h.gone(st, taken)
	}
	must(t, h.w.Git.Up(ctx))
	if left, err := other.Unfinished(ctx); err != nil || left != "" {
		t.Errorf("the second operator's clone has what must not be pushed: %v\n%s", err, left)
	}
	must(t, h.w.Push(ctx))
	h.judge(t)
	must(t, lost.Start(ctx))
	fenced(t, lost, h.stacks)
	h.judge(t)
}
