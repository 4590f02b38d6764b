package keeper_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// scheduled is a stack that runs at epoch 2, whose snapshots are taken every quarter of
// an hour.
func scheduled() agentapi.Stack {
	return agentapi.Stack{
		Name: "notes", Epoch: 2, PauseEvery: time.Hour, Targets: []agentapi.Target{{Name: "offsite", Every: 15 * time.Minute}},
		Volumes: []project.Volume{{Name: "data", Path: "/data", Protect: fleet.Snapshot, Method: fleet.Live}},
	}
}

// TestWhenASnapshotIsDue: a stack's snapshots are taken while it runs here and owns its
// data, as often as the shortest interval says, and no oftener than it may be paused.
func TestWhenASnapshotIsDue(t *testing.T) {
	t.Parallel()
	ran := here.Local{Epoch: 2}
	for name, c := range map[string]struct {
		local here.Local
		ago   time.Duration // since the last one ended, 0 for none yet
		spoil func(k *keeper.Keeper, st *agentapi.Stack)
		want  bool
	}{
		"never taken":           {local: ran, want: true},
		"a while ago":           {local: ran, ago: 14 * time.Minute},
		"long ago":              {local: ran, ago: 16 * time.Minute, want: true},
		"in the future":         {local: ran, ago: -10 * 24 * time.Hour, want: true},
		"not here yet":          {},
		"here at another epoch": {local: here.Local{Epoch: 1}},
		"taken over":            {local: here.Local{Epoch: 2, Lost: true}},
		"released":              {local: here.Local{Epoch: 2, Released: 2}},
		"released before":       {local: here.Local{Epoch: 2, Released: 1}, want: true},
		"declared stopped":      {local: ran, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) { st.Stopped = true }},
		"nothing is protected":  {local: ran, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) { st.Volumes[0].Protect = fleet.None }},
		"no target":             {local: ran, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) { st.Targets = nil }},
		"another target is due": {local: ran, ago: 6 * time.Minute, want: true, spoil: otherTried(t, 5*time.Minute, 6*time.Minute)},
		"another is not due":    {local: ran, ago: 14 * time.Minute, spoil: otherTried(t, 5*time.Minute, 4*time.Minute)},
		"a new target": {local: ran, ago: 6 * time.Minute, want: true, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) {
			st.Targets = append(st.Targets, agentapi.Target{Name: "nas", Every: 24 * time.Hour})
		}},
		"a pause is rarer":       {local: ran, ago: 16 * time.Minute, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) { st.Volumes[0].Method = fleet.Pause }},
		"a pause after an hour":  {local: ran, ago: 61 * time.Minute, want: true, spoil: func(_ *keeper.Keeper, st *agentapi.Stack) { st.Volumes[0].Method = fleet.Pause }},
		"between two versions":   {local: ran, spoil: attempt(t, here.Attempt{State: here.AttemptTrying})},
		"on the way back":        {local: ran, spoil: attempt(t, here.Attempt{State: here.AttemptBack})},
		"after a failed version": {local: ran, want: true, spoil: attempt(t, here.Attempt{State: here.AttemptFailed})},
		"one is owed":            {local: ran, ago: 2 * keeper.OwedEvery, want: true, spoil: owed},
		"one is owed, and tried": {local: ran, ago: keeper.OwedEvery / 2, spoil: owed},
	} {
		k, st, now := keeper.New(&here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}}), scheduled(), time.Now()
		if c.local.Epoch > 0 {
			if err := k.SaveLocal(st.Name, c.local); err != nil {
				t.Fatal(err)
			}
		}
		if c.ago != 0 {
			if err := k.ChangeCondition(st.Name, "offsite", func(n *keeper.OnTarget) { n.Tried = now.Add(-c.ago) }); err != nil {
				t.Fatal(err)
			}
		}
		if c.spoil != nil {
			c.spoil(k, &st)
		}
		if due := k.Due(agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}}, now); (len(due) == 1) != c.want {
			t.Errorf("%s: %d are due", name, len(due))
		}
	}
}

// TestWhyASnapshotIsRarer: status says when the next one is due, and for which volume the
// stack is paused.
func TestWhyASnapshotIsRarer(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC()
	for name, c := range map[string]struct {
		change func(st *agentapi.Stack)
		want   *agentapi.Schedule
	}{
		"as asked":        {func(*agentapi.Stack) {}, &agentapi.Schedule{Every: 15 * time.Minute, Next: now.Add(10 * time.Minute)}},
		"paused":          {func(st *agentapi.Stack) { st.Volumes[0].Method = fleet.Pause }, &agentapi.Schedule{Every: time.Hour, Next: now.Add(55 * time.Minute), Pausing: []string{"data"}}},
		"paused as asked": {func(st *agentapi.Stack) { st.Volumes[0].Method, st.PauseEvery = fleet.Pause, time.Minute }, &agentapi.Schedule{Every: 15 * time.Minute, Next: now.Add(10 * time.Minute)}},
		"no target":       {func(st *agentapi.Stack) { st.Volumes[0].Method, st.Targets = fleet.Pause, nil }, nil},
		"stopped":         {func(st *agentapi.Stack) { st.Stopped = true }, nil},
	} {
		k, st := keeper.New(&here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}}), scheduled()
		c.change(&st)
		err := k.SaveLocal(st.Name, here.Local{Epoch: 2})
		if err == nil {
			err = k.ChangeCondition(st.Name, "offsite", func(n *keeper.OnTarget) { n.Tried = now.Add(-5 * time.Minute) })
		}
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, keeper.ScheduleOf(k, agentapi.Host{Name: "alpha", Stacks: []agentapi.Stack{st}}, st)); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
	}
}

func attempt(t *testing.T, a here.Attempt) func(*keeper.Keeper, *agentapi.Stack) {
	t.Helper()
	return func(k *keeper.Keeper, st *agentapi.Stack) {
		if err := k.At(agentapi.Host{Name: "alpha"}, *st).SaveAttempt(a); err != nil {
			t.Fatal(err)
		}
	}
}

// otherTried adds a target that was tried a while ago.
func otherTried(t *testing.T, every, ago time.Duration) func(*keeper.Keeper, *agentapi.Stack) {
	t.Helper()
	return func(k *keeper.Keeper, st *agentapi.Stack) {
		st.Targets = append(st.Targets, agentapi.Target{Name: "nas", Every: every})
		if err := k.ChangeCondition(st.Name, "nas", func(n *keeper.OnTarget) { n.Tried = time.Now().Add(-ago) }); err != nil {
			t.Error(err)
		}
	}
}

func owed(k *keeper.Keeper, st *agentapi.Stack) { k.NoteDone(st.Name, "wish") }

// due is a stack of which a snapshot is due, on a host whose engine runs nothing.
func due(t *testing.T) (*here.Stack, string) {
	t.Helper()
	h, remote := heretest.Host(t), t.TempDir()
	h.Stacks = stack.New(stacktest.New())
	t.Cleanup(h.Stacks.Close)
	s := agenttest.WithRecord(t, h, remote, 1)
	s.Targets[0].Every = 15 * time.Minute
	s.Spec.Stacks = []agentapi.Stack{s.Stack}
	if err := h.SaveSpec(s.Spec); err != nil {
		t.Fatal(err)
	}
	if err := h.SaveLocal(s.Name, here.Local{Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	agenttest.Snapshots(t, s, "one")
	heretest.Write(t, filepath.Join(s.Protected()[0].Path, "note"), "two")
	return s, remote
}

// TestTheDaemonTakesWhatIsDue: once for each interval, and only while the stack is the
// host's own, which is asked when it is the stack's turn.
func TestTheDaemonTakesWhatIsDue(t *testing.T) {
	t.Parallel()
	s, remote := due(t)
	k, watch := keeper.New(s.Host), ownership.New(s.Host, ownership.AskWithin)
	defer k.Close(t.Context())
	defer watch.Close(t.Context())
	round := func(ago time.Duration) int {
		t.Helper()
		if err := k.ChangeCondition(s.Name, "offsite", func(c *keeper.OnTarget) { c.Tried = time.Now().Add(-ago) }); err != nil {
			t.Fatal(err)
		}
		takers := keeper.NewTakers(keeper.TakerTurn, here.KeepOpen(k.Host))
		if err := k.TakeDue(t.Context(), watch, takers, progress.Discard()); err != nil {
			t.Fatal(err)
		}
		takers.Wait()
		return count(t, remote, "aaaa0001")
	}
	if n := round(time.Minute); n != 1 {
		t.Errorf("%d snapshots, and none was due", n)
	}
	if n := round(time.Hour); n != 2 {
		t.Errorf("%d snapshots, and one was due", n)
	}
	heretest.ClaimFor(t, s.Name, remote+"/record", record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	watch.Verdicts(t.Context(), s.Spec)
	if n := round(time.Hour); n != 2 {
		t.Errorf("%d snapshots: one was taken of a stack that beta has taken over", n)
	}
	if err := os.WriteFile(s.Host.Paths.Spec(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.Host.Paths.SpecCopy(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.TakeDue(t.Context(), watch, keeper.NewTakers(keeper.TakerTurn, here.KeepOpen(k.Host)), progress.Discard()); err == nil {
		t.Error("what the host is asked to be can't be read, without an error")
	}
}
