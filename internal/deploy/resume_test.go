package deploy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/hostlink"
	"salvor/internal/hostspec"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/project"
)

// surroundings fake everything around a session and note what was asked of them.
type surroundings struct {
	mu       sync.Mutex
	log      []string
	facts    map[string][]placement.Learned
	pushErr  []error // of the first pushes
	owners   map[string]Owner
	outrun   Owner // who has every stack that is claimed, unless Host is ""
	unread   error // why the record does not say what hosts reported
	unproven error // why the record does not say what was proven
	proven   map[string]map[string]fleet.Proven
	ahead    bool // the newest commit is not published
	link     *hostlink.Link
}

var errNoHost = errors.New("no host here")

func (f *surroundings) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, what)
}

func (f *surroundings) Commit(_ context.Context, files map[string][]byte, message string) (string, error) {
	f.note("commit " + strings.SplitN(message, "\n", 2)[0])
	return "c2", nil
}

func (f *surroundings) Push(context.Context) error {
	f.note("push")
	if len(f.pushErr) == 0 {
		return nil
	}
	err := f.pushErr[0]
	f.pushErr = f.pushErr[1:]
	return err
}

func (f *surroundings) Published(context.Context) (bool, error) { return !f.ahead, nil }
func (f *surroundings) Behind(context.Context) error            { f.note("ask Git"); return nil }
func (f *surroundings) Uncommit(context.Context) (bool, error)  { f.note("uncommit"); return true, nil }
func (f *surroundings) Stale(context.Context, fleet.Lock) (map[string]string, error) {
	return map[string]string{}, nil
}
func (f *surroundings) Current(string, string) (hostspec.Seal, error)  { return hostspec.Seal{}, nil }
func (f *surroundings) Epoch(context.Context, string) (int, error)     { return 4, nil }
func (f *surroundings) Mirror(context.Context) error                   { return nil }
func (f *surroundings) Used(context.Context, string) ([]string, error) { return nil, nil }
func (f *surroundings) Owners(context.Context, []string) (map[string]Owner, error) {
	return f.owners, nil
}

func (f *surroundings) Dial(_ context.Context, h fleet.Host) (*hostlink.Link, error) {
	if f.link == nil || f.link.Host != h.Name {
		return nil, errNoHost
	}
	return f.link, nil
}

func (f *surroundings) Seal(_ context.Context, lock fleet.Lock, stacks []string, _ map[string]project.Consent) (map[string][]byte, fleet.Lock, error) {
	return map[string][]byte{"sealed": []byte(strings.Join(stacks, " "))}, lock, nil
}

func (f *surroundings) Claim(_ context.Context, stack string, epoch int, host, commit string) error {
	f.note("claim " + stack + " for " + host + " from " + commit)
	if f.outrun.Host != "" {
		return Outrun(stack, f.outrun)
	}
	return nil
}

func (f *surroundings) Facts(context.Context, fleet.Lock) (map[string][]placement.Learned, []finding.Finding, error) {
	f.note("facts")
	return f.facts, nil, f.unread
}

func (f *surroundings) Sizes(context.Context, fleet.Lock) (map[string]int64, error) { return nil, nil }

func (f *surroundings) Proven(context.Context, fleet.Lock) (map[string]map[string]fleet.Proven, []finding.Finding, error) {
	return f.proven, nil, f.unproven
}

// session has the stack notes placed on beta, and blog on alpha.
func session(f *surroundings, volumes map[string]fleet.VolumeState) *Session {
	known := project.Rendered{Volumes: []project.Volume{{Name: "db", Protect: fleet.Snapshot}}}
	return &Session{
		Fleet: &fleet.Fleet{Name: "home", Hosts: []fleet.Host{{Name: "alpha"}, {Name: "beta"}}, Stacks: []fleet.Stack{{Name: "notes", Host: "beta"}, {Name: "blog", Host: "alpha"}}},
		Lock: fleet.Lock{Stacks: map[string]fleet.Placement{
			"notes": {Host: "beta", Epoch: 2, Volumes: volumes}, "blog": {Host: "alpha", Epoch: 1, Volumes: map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}}},
		}},
		Commit: "c1", Stacks: map[string]project.Rendered{"notes": known, "blog": known},
		Repo: f, Sealer: f, Record: f, Hosts: f, Sink: progress.Discard(),
	}
}

// TestResumedRunClaims: a run was killed after its commit. The next has nothing to
// move; it publishes and claims for the host that it works on anyway.
func TestResumedRunClaims(t *testing.T) {
	f := &surroundings{}
	s := session(f, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}})
	plan := Plan{Hosts: []HostPlan{{Host: "beta", Changes: []agentapi.Change{{Stack: "notes", ID: "services"}}}}}
	_, err := s.Apply(t.Context(), plan, s.Lock, Options{Kind: KindApply})
	if !errors.Is(err, errNoHost) {
		t.Errorf("ended with %v", err)
	}
	if diff := cmp.Diff([]string{"push", "claim notes for beta from c1"}, f.log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}

// TestBehindIsToldFirst: a clone that is behind does not release or commit anything.
func TestBehindIsToldFirst(t *testing.T) {
	f := &surroundings{pushErr: []error{git.ErrDiverged}}
	s := session(f, nil)
	next, moves := placement.Next(&fleet.Fleet{Stacks: []fleet.Stack{{Name: "notes", Host: "alpha"}}}, s.Lock, nil)
	_, err := s.Apply(t.Context(), Plan{}, next, Options{Kind: "apply", Moves: moves})
	if !errors.Is(err, git.ErrDiverged) || !slices.Equal(f.log, []string{"push"}) {
		t.Errorf("ended with %v after %v", err, f.log)
	}
}

func TestFactsAreFolded(t *testing.T) {
	f := &surroundings{facts: map[string][]placement.Learned{"notes": {{Host: "beta", Epoch: 2, Born: map[string]time.Time{"db": time.Unix(5, 0)}}}}}
	s := session(f, nil)
	if settled, err := s.Settled(t.Context()); settled || err != nil {
		t.Errorf("a volume is not born in the lock, yet settled is %v, %v", settled, err)
	}
	if _, err := s.Apply(t.Context(), Plan{}, s.Lock, Options{Kind: "apply"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"push", "facts", "commit apply: hosts' reports", "push"}, f.log); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
	if settled, err := s.Settled(t.Context()); !settled || err != nil {
		t.Errorf("settled is %v, %v", settled, err)
	}
	if p := s.Lock.Stacks["blog"]; p.Volumes["db"].Born.IsZero() {
		t.Errorf("folding one stack lost another: %+v", p)
	}
}

// TestWhatWasBornMovesAlong: the run that a stack came to life in was interrupted, and the
// stack moves before any other run reads its host's report.
func TestWhatWasBornMovesAlong(t *testing.T) {
	for name, o := range map[string]Options{"it moves": {Kind: KindMove}, "its host is lost": {Kind: KindRecover, Lost: "beta"}} {
		born := time.Unix(5, 0).UTC()
		f := &surroundings{facts: map[string][]placement.Learned{"notes": {{Host: "beta", Epoch: 2, Born: map[string]time.Time{"db": born}}}}}
		s := session(f, nil)
		next, m := placement.MoveTo(s.Lock, "notes", "alpha")
		o.Moves = []placement.Move{m}
		r := s.Begin(Plan{}, next, o)
		if err := carryBirths(t.Context(), r); err != nil || !r.Next.Stacks["notes"].Volumes["db"].Born.Equal(born) {
			t.Errorf("%s: it is %+v, %v", name, r.Next.Stacks["notes"], err)
		}
		if s = session(f, map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}}); carryBirths(t.Context(), s.Begin(Plan{}, s.Lock, o)) != nil || len(f.log) > 1 {
			t.Errorf("%s: what is known is asked for: %v", name, f.log)
		}
		f.unread = errors.New("no route")
		r = session(f, nil).Begin(Plan{}, next, o)
		if err := carryBirths(t.Context(), r); (err == nil) != (o.Lost != "") || (len(r.End().Pending) > 0) != (o.Lost != "") {
			t.Errorf("%s: reports can't be read: %v, pending %v", name, err, r.End().Pending)
		}
	}
}

func TestFoldThatLosesTheRaceIsPending(t *testing.T) {
	f := &surroundings{pushErr: []error{nil, git.ErrDiverged}, facts: map[string][]placement.Learned{"notes": {{Host: "beta", Epoch: 2, Images: map[string]string{"a": "b@sha256:c"}}}}}
	s := session(f, nil)
	r, err := s.Apply(t.Context(), Plan{}, s.Lock, Options{Kind: "apply"})
	if err != nil || len(r.Pending) != 1 || r.Commit != "c1" {
		t.Errorf("ended with %v at %s, pending %v", err, r.Commit, r.Pending)
	}
}

func TestUsedNamesAreCountedOn(t *testing.T) {
	f := &surroundings{}
	s := session(f, nil)
	s.Fleet.Stacks = append(s.Fleet.Stacks, fleet.Stack{Name: "wiki", Host: "alpha"})
	past, err := s.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next, moves := placement.Next(s.Fleet, s.Lock, past)
	if next.Stacks["wiki"].Epoch != 5 || len(moves) != 1 {
		t.Errorf("placed at %+v by %v, want epoch 5", next.Stacks["wiki"], moves)
	}
}

// TestAReceiptTakesARestoreOut of the lock when it is done, and no other.
func TestAReceiptTakesARestoreOut(t *testing.T) {
	s := session(&surroundings{}, nil)
	s.Lock = placement.Restore(s.Lock, "notes", "5nap")
	wish := s.Lock.Stacks["notes"].Restore
	receipt := func(wish string) []agentapi.HostReceipt {
		return []agentapi.HostReceipt{{Host: "beta", Stacks: []agentapi.StackReceipt{{Name: "notes", Epoch: 2, Wish: wish}}}}
	}
	if learned(s.Lock, receipt("another")).Stacks["notes"].Restore == nil {
		t.Error("another wish's receipt took it out")
	}
	if learned(s.Lock, receipt(wish.ID)).Stacks["notes"].Restore != nil {
		t.Error("its receipt left it there")
	}
	p := s.Lock.Stacks["notes"]
	p.Epoch++
	if p.Wish() != nil {
		t.Error("it holds at another epoch")
	}
}

// TestFactsDoNotUndoARollback: facts know the newer image that a rollback left.
func TestFactsDoNotUndoARollback(t *testing.T) {
	lock := fleet.Lock{Stacks: map[string]fleet.Placement{"notes": {Host: "beta", Epoch: 2, Images: map[string]string{"app": "app:1@sha256:old"}}}}
	facts := []placement.Learned{{Host: "beta", Epoch: 2, Images: map[string]string{"app": "app:2@sha256:new", "db": "db:1@sha256:db"}}}
	services := []project.Service{{Name: "app", Image: "app:1"}, {Name: "db", Image: "db:1"}}
	lock = placement.Fold(lock, "notes", unpinned(facts, lock.Stacks["notes"], services)...)
	if diff := cmp.Diff(map[string]string{"app": "app:1@sha256:old", "db": "db:1@sha256:db"}, lock.Stacks["notes"].Images); diff != "" {
		t.Error(diff)
	}
}

// TestLockLearnsTheNewerImage is issue 10, C.10: a run that was interrupted after the
// deploy of another tag or digest left the older one in the lock permanently.
func TestLockLearnsTheNewerImage(t *testing.T) {
	born := map[string]fleet.VolumeState{"db": {Born: time.Unix(1, 0)}}
	for written, runs := range map[string]string{"app:2": "app:2@sha256:new", "app:1@sha256:new": "app:1@sha256:new"} {
		f := &surroundings{facts: map[string][]placement.Learned{"notes": {{Host: "beta", Epoch: 2, Images: map[string]string{"app": runs}}}}}
		s := session(f, born)
		p := s.Lock.Stacks["notes"]
		p.Images = map[string]string{"app": "app:1@sha256:old"}
		s.Lock.Stacks["notes"] = p
		s.Stacks["notes"] = project.Rendered{Project: project.Project{Services: []project.Service{{Name: "app", Image: written}}}}
		if settled, err := s.Settled(t.Context()); settled || err != nil {
			t.Errorf("%s: settled is %v, %v", written, settled, err)
		}
		if _, err := s.Apply(t.Context(), Plan{}, s.Lock, Options{Kind: "apply"}); err != nil {
			t.Fatal(err)
		}
		if got := s.Lock.Stacks["notes"].Images["app"]; got != runs {
			t.Errorf("%s: the lock has %s, want %s", written, got, runs)
		}
	}
}
