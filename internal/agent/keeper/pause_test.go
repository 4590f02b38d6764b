package keeper

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/journal"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// dockerHost is a host whose containers are in memory.
func dockerHost(t *testing.T) (*here.Host, *stacktest.Engine) {
	t.Helper()
	dir, engine := t.TempDir(), stacktest.New()
	p := hostpath.Layout{Config: dir + "/etc", State: dir + "/state", Run: dir + "/run", Volumes: dir + "/volumes"}
	if err := os.MkdirAll(p.Run, 0o700); err != nil {
		t.Fatal(err)
	}
	h := &here.Host{
		Machine: engine, Stacks: stack.New(engine), Paths: p, Journal: journal.Journal{Dir: p.State + "/journal"},
		Snapshots: snapshot.Engine{Dirs: p},
	}
	t.Cleanup(h.Stacks.Close)
	return h, engine
}

// recorded is what a snapshot would have recorded.
type recorded struct{ all [][]string }

func (r *recorded) record(ids []string) error {
	r.all = append(r.all, slices.Clone(ids))
	return nil
}

// TestPauseLeavesOutWhatDoesNotRun is fault V2: a service that keeps restarting
// neither keeps its stack from being snapshotted nor leaves the others frozen,
// and what a person has paused stays paused.
func TestPauseLeavesOutWhatDoesNotRun(t *testing.T) {
	h, engine := dockerHost(t)
	web, db := engine.Add("loop", "web", "running"), engine.Add("loop", "db", "running")
	looping, byHand := engine.Add("loop", "side", "restarting"), engine.Add("loop", "hand", "paused")
	engine.Add("loop", "done", "exited")
	other := engine.Add("other", "web", "running")
	q, noted := New(h).Quiescer("loop"), recorded{}
	if err := q.Pause(t.Context(), noted.record); err != nil {
		t.Fatal(err)
	}
	if len(noted.all) != 1 || !slices.Contains(noted.all[0], web) || !slices.Contains(noted.all[0], db) || len(noted.all[0]) != 2 {
		t.Errorf("recorded %v", noted.all)
	}
	got := []string{engine.State(web), engine.State(db), engine.State(looping), engine.State(byHand), engine.State(other)}
	if diff := cmp.Diff([]string{"paused", "paused", "restarting", "paused", "running"}, got); diff != "" {
		t.Error(diff)
	}
	for range 2 {
		if err := q.Unpause(t.Context(), noted.all[0]...); err != nil {
			t.Fatal(err)
		}
	}
	got = []string{engine.State(web), engine.State(db), engine.State(byHand)}
	if diff := cmp.Diff([]string{"running", "running", "paused"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestWhatIsToBeStoppedIsStopped for a snapshot, before the others are paused, and starts again, also where pausing fails.
func TestWhatIsToBeStoppedIsStopped(t *testing.T) {
	h, engine := dockerHost(t)
	web, db, off := engine.Add("loop", "web", "running"), engine.Add("loop", "db", "running"), engine.Add("loop", "db", "exited")
	q, noted := Quiet{Host: h, Stack: "loop", Stops: []string{"db"}}, recorded{}
	states := func() string {
		return strings.Join([]string{engine.State(web), engine.State(db), engine.State(off)}, " ")
	}
	if err := q.Pause(t.Context(), noted.record); err != nil || states() != "paused exited exited" {
		t.Fatalf("%s, %v", states(), err)
	}
	if diff := cmp.Diff([][]string{{stoppedMark + db}, {stoppedMark + db, web}}, noted.all); diff != "" {
		t.Error(diff)
	}
	for range 2 { // as a guardian does, which knows nothing but the record
		if err := New(h).Quiescer("loop").Unpause(t.Context(), noted.all[1]...); err != nil || states() != "running running exited" {
			t.Errorf("%s, %v", states(), err)
		}
	}
	if got, err := q.Started(t.Context(), time.Now().Add(-time.Hour)); err != nil || len(got) != 1 {
		t.Errorf("what is started again counts as started: %v, %v", got, err)
	}
	engine.OnRequest = func(_, path string) int {
		if strings.HasSuffix(path, web+"/pause") {
			return http.StatusInternalServerError
		}
		return 0
	}
	if err := q.Pause(t.Context(), noted.record); err == nil || states() != "running running exited" {
		t.Errorf("%s, %v", states(), err)
	}
}

// What begins to run during the pause is paused, too.
func TestPauseLooksAgain(t *testing.T) {
	h, engine := dockerHost(t)
	web, side := engine.Add("loop", "web", "running"), engine.Add("loop", "side", "restarting")
	engine.OnRequest = func(method, path string) int {
		if method == http.MethodPost && strings.Contains(path, web) {
			engine.Set(side, "running")
		}
		return 0
	}
	noted := recorded{}
	if err := New(h).Quiescer("loop").Pause(t.Context(), noted.record); err != nil {
		t.Fatal(err)
	}
	if engine.State(side) != "paused" || len(noted.all) != 2 || len(noted.all[1]) != 2 {
		t.Errorf("side is %s, recorded %v", engine.State(side), noted.all)
	}
}

// TestStarted: the engine says what started since a time, other stacks aside.
func TestStarted(t *testing.T) {
	h, engine := dockerHost(t) // ownershipFindings containers started a minute ago
	engine.Add("loop", "web", "running")
	engine.Add("loop", "side", "restarting")
	engine.Add("other", "web", "running")
	for ago, want := range map[time.Duration]int{time.Second: 0, time.Hour: 2} {
		if got, err := New(h).Quiescer("loop").Started(t.Context(), time.Now().Add(-ago)); err != nil || len(got) != want {
			t.Errorf("since %s: %v, %v", ago, got, err)
		}
	}
}

// One that can't be paused leaves none paused.
func TestAFailedPauseResumesTheOthers(t *testing.T) {
	h, engine := dockerHost(t)
	web, stuck := engine.Add("loop", "app", "running"), engine.Add("loop", "stuck", "running")
	engine.OnRequest = func(_, path string) int {
		if strings.HasSuffix(path, stuck+"/pause") {
			return http.StatusInternalServerError
		}
		return 0
	}
	if err := New(h).Quiescer("loop").Pause(t.Context(), (&recorded{}).record); err == nil {
		t.Fatal("a pause that failed went well")
	}
	if engine.State(web) != "running" || engine.State(stuck) != "running" {
		t.Errorf("app %s, stuck %s", engine.State(web), engine.State(stuck))
	}
}

// leavePaused is what a snapshot and its guardian leave that are both killed.
func leavePaused(t *testing.T, h *here.Host, engine *stacktest.Engine, ids ...string) {
	t.Helper()
	if err := os.MkdirAll(h.Paths.Run+"/paused", 0o700); err != nil {
		t.Fatal(err)
	}
	record := `{"schema":1,"stack":"notes","since":"` + time.Now().UTC().Format(time.RFC3339) + `","limit":30000000000,"containers":["` + strings.Join(ids, `","`) + `"]}`
	heretest.Write(t, h.Paths.Run+"/paused/notes.json", record)
	for _, id := range ids {
		engine.Set(id, "paused")
	}
}

// TestTheDaemonResumesWhatNobodyHolds is fault V21: with the snapshot and its
// guardian both killed, the daemon's next round has the stack continue, but leaves
// alone what a living snapshot holds.
func TestTheDaemonResumesWhatNobodyHolds(t *testing.T) {
	h, engine := dockerHost(t)
	web, byHand := engine.Add("notes", "web", "running"), engine.Add("notes", "hand", "paused")
	leavePaused(t, h, engine, web)
	lock, err := runlock.Acquire(h.Paths.Run, "stack-notes", runlock.Holder{Owner: "salvord", Message: "snapshot"})
	if err != nil {
		t.Fatal(err)
	}
	if err := New(h).Resume(t.Context()); err != nil || engine.State(web) != "paused" {
		t.Errorf("held by a snapshot: %s, %v", engine.State(web), err)
	}
	lock.Release()
	engine.OnRequest = func(_, path string) int {
		if strings.HasSuffix(path, "/unpause") {
			return http.StatusInternalServerError
		}
		return 0
	}
	if err := New(h).Resume(t.Context()); err == nil {
		t.Error("a resume that failed went well")
	}
	engine.OnRequest = nil
	if err := New(h).Resume(t.Context()); err != nil || engine.State(web) != "running" || engine.State(byHand) != "paused" {
		t.Errorf("web %s, by hand %s, %v", engine.State(web), engine.State(byHand), err)
	}
	if left, err := snapshot.AllPaused(h.Snapshots.Dirs); err != nil || len(left) != 0 {
		t.Errorf("still recorded: %+v, %v", left, err)
	}
}

// Status says what is paused for long, and not what a snapshot pauses now.
func TestStatusSaysWhatIsPaused(t *testing.T) {
	h, engine := dockerHost(t)
	web := engine.Add("notes", "web", "paused")
	stacks := []agentapi.StackState{{Name: "notes", Services: []agentapi.ServiceRow{{Name: "web", State: "paused"}, {Name: "db", State: "running"}}}}
	found, err := New(h).FrozenFindings("alpha", stacks)
	if err != nil || len(found) != 1 || found[0].Code != finding.Paused || !strings.HasPrefix(found[0].Text, "web: ") {
		t.Errorf("paused by a person: %+v, %v", found, err)
	}
	leavePaused(t, h, engine, web)
	if found, err = New(h).FrozenFindings("alpha", stacks); err != nil || len(found) != 0 {
		t.Errorf("paused by a snapshot under way: %+v, %v", found, err)
	}
}
