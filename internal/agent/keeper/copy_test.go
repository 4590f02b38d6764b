package keeper_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// A pair is a stack with two targets, nas and offsite, in two folders.
type pair struct {
	*here.Stack
	t            *testing.T
	nas, offsite string // folders
	keeper       *keeper.Keeper
}

// twoTargets is a stack whose first data is "one"; nothing was taken of it yet. It runs, as
// far as its host knows.
func twoTargets(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, nas: t.TempDir(), offsite: t.TempDir()}
	h := heretest.Host(t)
	h.Stacks, h.Late = stack.New(stacktest.New()), time.Millisecond
	t.Cleanup(h.Stacks.Close)
	st := heretest.Sealed(t, h, p.nas, 1, "cccc0003", "aaaa0001")
	st.Volumes[0].Born = time.Unix(1, 0)
	nas := st.Targets[0]
	nas.Name, nas.Former, nas.Every = "nas", nil, 15*time.Minute
	offsite := nas
	offsite.Name, offsite.Where.Path, offsite.Repository, offsite.Every = "offsite", p.offsite, "cccc0003", 24*time.Hour
	st.Targets = []agentapi.Target{nas, offsite}
	spec := agentapi.Host{Schema: agentapi.Schema, Fleet: "home", Name: "alpha", Record: fleet.Location{Remote: "disk", Path: p.nas + "/record"}, Stacks: []agentapi.Stack{st}}
	signer, err := h.EnsureSigning("alpha")
	if err = errors.Join(err, h.SaveSpec(spec), h.SaveLocal(st.Name, here.Local{Epoch: 1, Reported: true})); err != nil {
		t.Fatal(err)
	}
	heretest.ClaimFor(t, st.Name, p.nas+"/record", record.Claim{Epoch: 1, Host: "alpha", Key: h.Recipient(), Sign: signer})
	p.Stack, p.keeper = h.At(spec, st), keeper.New(h)
	t.Cleanup(func() { p.keeper.Close(t.Context()) })
	v := p.Protected()[0]
	if err := h.Snapshots.StartEmpty(st.Name, v, snapshot.Marker{Identity: p.Identity(v.Name), Epoch: 1}); err != nil {
		t.Fatal(err)
	}
	p.write("one")
	return p
}

func (p *pair) writeTo(name, content string) {
	p.t.Helper()
	path := filepath.Join(p.Protected()[0].Path, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		p.t.Fatal(err)
	}
	heretest.Write(p.t, path, content)
}

func (p *pair) write(content string) { heretest.Write(p.t, p.Protected()[0].Path+"/note", content) }

// take takes snapshots on both targets, or on those that are named.
func (p *pair) take(names ...string) (agentapi.SnapshotReceipt, error) {
	p.t.Helper()
	taking := keeper.Taking{Stopped: true, Sink: progress.Discard()}
	for _, target := range p.Targets {
		for _, name := range names {
			if name == target.Name {
				taking.Targets, taking.Within = append(taking.Targets, target), time.Hour
			}
		}
	}
	return p.keeper.Take(p.t.Context(), p.Stack, taking)
}

func (p *pair) mustTake(names ...string) agentapi.SnapshotReceipt {
	p.t.Helper()
	r, err := p.take(names...)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// newest is the newest snapshot on a target, and its topmost folder: two snapshots that were
// read differ there, and a copy does not.
func (p *pair) newest(name string) (snapshot.Info, string) {
	p.t.Helper()
	repo := p.open(name)
	defer repo.Close(p.t.Context())
	l, err := snapshot.List(p.t.Context(), repo.Repository)
	if err != nil {
		p.t.Fatal(err)
	}
	newest, _ := snapshot.Newest(l.Infos)
	opened, err := repository.Open(p.t.Context(), repo.Store, repo.Password, repository.Spare{})
	if err != nil {
		p.t.Fatal(err)
	}
	s, err := opened.Snapshot(p.t.Context(), newest.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	return newest, s.Tree
}

func (p *pair) open(name string) *here.Repository {
	p.t.Helper()
	opened := agenttest.Opened(p.t, p.Stack)
	for _, t := range opened.Targets {
		if t.Name == name {
			repo, err := keeper.ArchiveOf(opened).Repository(p.t.Context(), t)
			if err != nil {
				p.t.Fatal(err)
			}
			return repo
		}
	}
	p.t.Fatal("no target ", name)
	return nil
}

// same fails the test unless both targets have the same newest snapshot, with a number.
func (p *pair) same(seq int) {
	p.t.Helper()
	a, read := p.newest("nas")
	b, copied := p.newest("offsite")
	if read != copied || a.ID == b.ID || a.Seq != seq || b.Seq != seq || a.Epoch != 1 || b.Epoch != 1 || !a.Time.Equal(b.Time) {
		p.t.Errorf("nas has %+v, offsite %+v; it was read again: %v", a, b, read != copied)
	}
	if c := p.keeper.Condition(p.Name); !c.On("nas").Good.Equal(c.On("offsite").Good) || c.On("offsite").Snapshot != b.ID || len(c.Findings(p.Stack.Stack)) > 0 {
		p.t.Errorf("noted %+v", c)
	}
}

// away makes a folder unreachable until the function that it returns is called.
func (p *pair) away(folder string) (back func()) {
	p.t.Helper()
	if err := errors.Join(os.Rename(folder, folder+".away"), os.WriteFile(folder, nil, 0o600)); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(folder), os.Rename(folder+".away", folder)); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestTheStackIsReadOnce: the first target gets what is read, the other a copy of it, with
// the same numbers and in a repository that cuts files in the same places. Both can be
// restored from, and what is taken next is newer than both.
func TestTheStackIsReadOnce(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	first := p.mustTake()
	p.same(1)
	if first.Snapshot.Seq != 1 {
		t.Errorf("receipt %+v", first)
	}
	p.write("two")
	p.mustTake()
	p.same(2)
	if err := p.keeper.ChangeCondition(p.Name, "nas", func(on *keeper.OnTarget) { on.Good = on.Good.Add(time.Minute) }); err != nil {
		t.Fatal(err)
	}
	if r := p.mustTake("offsite"); !r.Skipped || count(t, p.offsite, "cccc0003") != 2 {
		t.Errorf("it has all: %+v, and %d snapshots on offsite", r, count(t, p.offsite, "cccc0003"))
	}
	p.same(2)
	var cuttings []repository.Cutting
	for _, id := range []string{"aaaa0001", "cccc0003"} {
		password, _ := agenttest.Opened(t, p.Stack).Access.Password(id)
		c, err := keeper.ArchiveOf(p.Stack).Notes()[id].Spare.Cutting(password)
		if err != nil {
			t.Fatal(err)
		}
		cuttings = append(cuttings, c)
	}
	if cuttings[0] != cuttings[1] || cuttings[0] == (repository.Cutting{}) {
		t.Error("the repositories cut files in different places")
	}
}

// elsewhere is the stack on a host that takes it over.
func (p *pair) elsewhere() *here.Stack {
	p.t.Helper()
	h := heretest.Host(p.t)
	h.Late = time.Millisecond
	st := heretest.Sealed(p.t, h, p.nas, 2, "cccc0003", "aaaa0001")
	st.Volumes[0].Born, st.Targets = time.Unix(1, 0), p.Targets
	spec := p.Spec
	spec.Stacks = []agentapi.Stack{st}
	if err := h.SaveSpec(spec); err != nil {
		p.t.Fatal(err)
	}
	return h.At(spec, st)
}

// TestRestoringFromWhatAnswers: the newest is taken, from the first target among equals. A
// target that does not answer is named with the age of what it may have. What is known to be
// newer there is not given up, unless the operator names the target to take from.
func TestRestoringFromWhatAnswers(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake()
	nas, _ := p.newest("nas")
	offsite, _ := p.newest("offsite")
	if fetched, r, err := agenttest.Fetch(t, p.elsewhere()); err != nil || fetched.Info.ID != nas.ID || len(r.Findings) > 0 {
		t.Errorf("both answer: %+v, %v", r.Findings, err)
	}
	back := p.away(p.nas + "/" + p.Name)
	fetched, r, err := agenttest.Fetch(t, p.elsewhere())
	if err != nil || fetched.Info.ID != offsite.ID {
		t.Fatalf("nas is away: %v", err)
	}
	if f := agenttest.Only(t, r.Findings, finding.TargetSilent); f.Subject != "alpha/"+p.Name+"/nas" || !strings.Contains(f.Text, "it did not answer; snapshot ") || !strings.Contains(f.Text, "nas may have one, ") || !strings.Contains(f.Text, " old, and none that is newer") {
		t.Errorf("said %+v", f)
	}
	back()
	p.write("two")
	p.mustTake("nas")
	p.away(p.nas + "/" + p.Name)
	if _, _, err := agenttest.Fetch(t, p.elsewhere()); !errors.Is(err, keeper.ErrMissing) || !strings.Contains(fault.Hint(err), "--from offsite") {
		t.Errorf("nas has a newer one: %v\n%s", err, fault.Hint(err))
	}
	s := p.elsewhere()
	s.From = "offsite"
	if fetched, r, err = agenttest.Fetch(t, s); err != nil || fetched.Info.ID != offsite.ID {
		t.Fatalf("from offsite: %v", err)
	}
	if f := agenttest.Only(t, r.Findings, finding.TargetSilent); !strings.Contains(f.Text, "it was not asked (--from offsite)") || !strings.Contains(f.Text, "nas may have a newer one, ") {
		t.Errorf("said %+v", f)
	}
	s = p.elsewhere()
	s.From = "attic"
	if _, _, err := agenttest.Fetch(t, s); err == nil || !strings.Contains(err.Error(), "no snapshot target attic") {
		t.Errorf("from nowhere: %v", err)
	}
}

// TestATargetThatIsAway: the other one is read into, and the one that was away gets a copy
// of that once it is back.
func TestATargetThatIsAway(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake()
	p.write("two")
	back := p.away(p.nas + "/" + p.Name)
	r, err := p.take()
	if err == nil || r.Snapshot.Seq != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	c := p.keeper.Condition(p.Name)
	if len(c.On("nas").Findings) != 1 || len(c.On("offsite").Findings) > 0 || !c.On("offsite").Good.After(c.On("nas").Good) {
		t.Errorf("noted %+v", c)
	}
	back()
	p.mustTake("nas")
	p.same(2)
}

// TestACopyIsMadeOfWhatIsThere: a target that is due alone gets what another one has, if
// that is new enough; the stack is not read for it.
func TestACopyIsMadeOfWhatIsThere(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake("nas")
	p.write("two")
	p.mustTake("offsite")
	p.same(1)
	p.write("three")
	if err := p.keeper.ChangeCondition(p.Name, "nas", func(on *keeper.OnTarget) { on.Good = time.Now().Add(-2 * time.Hour) }); err != nil {
		t.Fatal(err)
	}
	p.mustTake("offsite")
	if i, _ := p.newest("offsite"); i.Seq != 2 {
		t.Errorf("of data that is too old a copy was made: %+v", i)
	}
	p.mustTake("nas")
	p.same(2)
}

// TestAnInterruptedCopyIsFinished: one that is on the remote, and of which the host knows no
// more than that it began it, is proven by the next turn.
func TestAnInterruptedCopyIsFinished(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake()
	p.write("two")
	p.mustTake("nas")
	record := p.nas + "/record/proven/" + p.Name
	noted := p.Host.Paths.Placement(p.Name)
	for _, dir := range []string{record, filepath.Dir(noted)} {
		if err := os.CopyFS(dir+".before", os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
	}
	p.mustTake("offsite")
	copied, _ := p.newest("offsite")
	for _, dir := range []string{record, filepath.Dir(noted)} {
		if err := errors.Join(os.RemoveAll(dir), os.Rename(dir+".before", dir)); err != nil {
			t.Fatal(err)
		}
	}
	known := keeper.ArchiveOf(p.Stack).Notes()["cccc0003"].Known[0]
	path := keeper.ArchiveOf(p.Stack).NotesPath()
	content, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(content), `"`+known+`"]`) {
		t.Fatalf("%s, %v", content, err)
	}
	heretest.Write(t, path, strings.Replace(string(content), `"`+known+`"]`, `"`+known+`","`+copied.ID+`"]`, 1))
	p.mustTake("offsite")
	p.same(2)
	if again, _ := p.newest("offsite"); again.ID != copied.ID || count(t, p.offsite, "cccc0003") != 2 {
		t.Errorf("%+v instead of %+v", again, copied)
	}
	if n := keeper.ArchiveOf(p.Stack).Notes()["cccc0003"]; n.Mark.ID != copied.ID || n.Told != copied.ID {
		t.Errorf("noted %+v", n)
	}
}

// TestALostHostCopiesNothing: the stack was taken over since the snapshot was taken.
func TestALostHostCopiesNothing(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake()
	p.write("two")
	p.mustTake("nas")
	heretest.ClaimFor(t, p.Name, p.nas+"/record", record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	p.keeper.Guard.Now(t.Context(), p.Stack)
	if _, err := p.take("offsite"); err == nil || !strings.Contains(err.Error(), "beta claimed epoch 2") {
		t.Errorf("%v", err)
	}
	if n := count(t, p.offsite, "cccc0003"); n != 1 {
		t.Errorf("%d snapshots on offsite", n)
	}
}

// TestEachTargetWhenItIsDue: the daemon has each target get its snapshot at its own time, and
// one that is away makes no other late.
func TestEachTargetWhenItIsDue(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	watch := ownership.New(p.Host, ownership.AskWithin)
	defer watch.Close(t.Context())
	round := func(later time.Duration) {
		t.Helper()
		now := time.Now().Add(later)
		p.Host.Edges.Now = func() time.Time { return now }
		takers := keeper.NewTakers(keeper.TakerTurn, here.KeepOpen(p.Host))
		if err := p.keeper.TakeDue(t.Context(), watch, takers, progress.Discard()); err != nil {
			t.Fatal(err)
		}
		takers.Wait()
	}
	counts := func(nas, offsite int) {
		t.Helper()
		if a, b := count(t, p.nas, "aaaa0001"), count(t, p.offsite, "cccc0003"); a != nas || b != offsite {
			t.Errorf("%d snapshots on nas, want %d; %d on offsite, want %d", a, nas, b, offsite)
		}
	}
	round(0)
	counts(1, 1)
	p.write("two")
	round(16 * time.Minute)
	counts(2, 1)
	back := p.away(p.offsite + "/" + p.Name)
	p.write("three")
	round(25 * time.Hour)
	back()
	counts(3, 1)
	c := p.keeper.Condition(p.Name)
	if len(c.On("nas").Findings) > 0 || len(c.On("offsite").Findings) != 1 {
		t.Errorf("noted %+v", c)
	}
	if next := keeper.ScheduleOf(p.keeper, p.Spec, p.Stack.Stack); !next.Next.Equal(c.On("nas").Tried.Add(15*time.Minute)) || next.Every != 15*time.Minute {
		t.Errorf("next %+v", next)
	}
}
