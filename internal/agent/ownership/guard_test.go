package ownership

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// memoryFolder is a place on a remote in memory.
type memoryFolder struct{ *blobtest.Memory }

// Close implements record.Folder.
func (memoryFolder) Close(context.Context) error { return nil }

// counted is alpha with some stacks, whose record counts the calls that reach it.
type counted struct {
	*heretest.Guarded
	store *blobtest.Memory
	calls atomic.Int64
	who   *Guard
}

func newCounted(t *testing.T, stacks int) *counted {
	t.Helper()
	c := &counted{Guarded: heretest.NewGuarded(t, "alpha", "record", "", 1), store: &blobtest.Memory{}}
	c.store.Fail = func(string, string) error { c.calls.Add(1); return nil }
	c.Edges.Folders = func(context.Context, storage.Remotes, fleet.Location) (record.Folder, error) {
		return memoryFolder{c.store}, nil
	}
	c.Spec.Stacks = nil
	for i := range stacks {
		st := agentapi.Stack{Name: fmt.Sprintf("stack%d", i), Epoch: 1}
		heretest.Seal(t, c.Host, &st, "alpha", agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "local"}}})
		c.Spec.Stacks = append(c.Spec.Stacks, st)
		c.claims(t, st.Name, record.Claim{Epoch: 1, Host: "alpha", Key: c.Recipient()})
		if err := c.SaveLocal(st.Name, here.Local{Epoch: 1}); err != nil {
			t.Fatal(err)
		}
	}
	c.who = New(c.Host, time.Minute)
	return c
}

func (c *counted) claims(t *testing.T, stack string, claim record.Claim) {
	t.Helper()
	away := func(string) (bool, bool) { return false, false }
	if r, err := record.New(c.store).Trusting(heretest.FleetTrust()).Claim(t.Context(), stack, claim, away); err != nil || r.Owner != claim.Host {
		t.Fatal(r, err)
	}
}

// round looks once and returns how many calls that made.
func (c *counted) round(t *testing.T) (map[string]record.Verdict, int64) {
	t.Helper()
	before := c.calls.Load()
	verdicts := c.who.Verdicts(t.Context(), c.Spec)
	return verdicts, c.calls.Load() - before
}

// TestARoundWithNothingNewMakesTwoCalls: whether forty stacks are still this host's
// is one listing and one look at where the record is.
func TestARoundWithNothingNewMakesTwoCalls(t *testing.T) {
	c := newCounted(t, 40)
	c.round(t)
	for range 3 {
		verdicts, calls := c.round(t)
		if calls > 2 {
			t.Errorf("%d calls", calls)
		}
		for name, v := range verdicts {
			if v.State != record.Own || !v.MayChange {
				t.Errorf("%s: %+v", name, v)
			}
		}
		if len(verdicts) != 40 {
			t.Errorf("%d verdicts", len(verdicts))
		}
	}
}

// TestALookMeansWhatIsNew: what is claimed by another host is lost by the next look,
// at the price of one more call.
func TestALookMeansWhatIsNew(t *testing.T) {
	c := newCounted(t, 3)
	c.round(t)
	changed := c.who.Changed()
	c.round(t)
	select {
	case <-changed:
		t.Error("it says that a verdict changed")
	default:
	}
	c.claims(t, "stack1", record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	verdicts, calls := c.round(t)
	if calls != 3 || verdicts["stack1"].State != record.Lost || verdicts["stack2"].State != record.Own {
		t.Errorf("%d calls, %+v", calls, verdicts)
	}
	select {
	case <-changed:
	default:
		t.Error("nothing says that a verdict changed")
	}
}

// TestOneLookServesAll: stacks that start at once, and the daemon's snapshots, rely on
// a look that was made already.
func TestOneLookServesAll(t *testing.T) {
	c := newCounted(t, 3)
	c.Lease = agentapi.DefaultLease()
	c.round(t)
	of := func(name string, ask func(context.Context, *here.Stack) record.Verdict) int64 {
		t.Helper()
		before := c.calls.Load()
		for _, st := range c.Spec.Stacks {
			if v := ask(t.Context(), c.At(c.Spec, st)); v.State != record.Own {
				t.Errorf("%s: %s: %+v", name, st.Name, v)
			}
		}
		return c.calls.Load() - before
	}
	if calls := of("at once", c.who.Verdict); calls != 0 {
		t.Errorf("at once: %d calls", calls)
	}
	c.who.newest.began = c.who.newest.began.Add(-c.Lease.Every)
	if calls := of("within the lease", c.who.Recent); calls != 0 {
		t.Errorf("within the lease: %d calls", calls)
	}
	if calls := of("later", c.who.Verdict); calls != 2 {
		t.Errorf("later: %d calls", calls)
	}
	c.who.newest.began = c.who.newest.began.Add(-c.Lease.Length())
	if calls := of("after the lease", c.who.Recent); calls != 2 {
		t.Errorf("after the lease: %d calls", calls)
	}
}

// TestALookAtOneStackReadsThatOne: a program that works on one stack reads no other's
// claims.
func TestALookAtOneStackReadsThatOne(t *testing.T) {
	c := newCounted(t, 10)
	before := c.calls.Load()
	if v := c.who.Verdict(t.Context(), c.At(c.Spec, c.Spec.Stacks[4])); v.State != record.Own {
		t.Errorf("%+v", v)
	}
	if calls := c.calls.Load() - before; calls > 4 {
		t.Errorf("%d calls", calls)
	}
}

// TestASilentRecordIsNotTheLastAnswer: what a look can't read is unknown, whatever the
// look before it said.
func TestASilentRecordIsNotTheLastAnswer(t *testing.T) {
	c := newCounted(t, 2)
	c.round(t)
	c.store.Fail = func(op, path string) error {
		if op == "list" {
			return context.DeadlineExceeded
		}
		return nil
	}
	if verdicts, _ := c.round(t); verdicts["stack0"].State != record.Unknown || verdicts["stack0"].MayChange {
		t.Errorf("%+v", verdicts)
	}
	c.store.Fail = nil
	if verdicts, _ := c.round(t); verdicts["stack0"].State != record.Own {
		t.Errorf("%+v", verdicts)
	}
}

// TestWhatNoHostHasClaimedMayBeRepaired: a recovery was interrupted between its commit and
// its claim, and the host is back. What it hands over is its own to repair until another
// host has claimed the stack.
func TestWhatNoHostHasClaimedMayBeRepaired(t *testing.T) {
	for name, c := range map[string]struct {
		claim record.Claim
		at    string // of the record; "" for where it is
		lost  bool
	}{
		"placed elsewhere, not claimed":     {record.Claim{Epoch: 1, Host: "alpha"}, "", false},
		"claimed by another":                {record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"}, "", true},
		"placed elsewhere, the record away": {record.Claim{Epoch: 1, Host: "alpha"}, "/dev/null/away", true},
	} {
		t.Run(name, func(t *testing.T) {
			remote := t.TempDir()
			alpha := heretest.NewGuarded(t, "alpha", remote, heretest.PlacesOn(t, "beta", "age1beta", 2), 1)
			if c.claim.Host == "alpha" {
				c.claim.Key = alpha.Recipient()
			}
			heretest.Claim(t, remote, c.claim)
			if c.at != "" {
				alpha.Spec.Record.Path = c.at
			}
			err := New(alpha.Host, AskWithin).NotLost(t.Context(), alpha.At(alpha.Spec, alpha.Spec.Stacks[0]))
			if (err != nil) != c.lost {
				t.Errorf("%v", err)
			}
		})
	}
}
