package ownership

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agentapi"
	"salvor/internal/blob/blobtest"
	"salvor/internal/fleet"
	"salvor/internal/loop"
	"salvor/internal/record"
	"salvor/internal/storage"
)

// A distant record is on a remote that counts calls, behind a network that can be cut.
type distant struct {
	blobtest.Memory
	cut   atomic.Bool
	calls atomic.Int64
}

// Close implements record.Folder.
func (*distant) Close(context.Context) error { return nil }

// TestALostClaimIsNoticedInTime although a remote that counts calls is asked rarely: within
// the lease that operators wait for, and soon after the network is back.
func TestALostClaimIsNoticedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		away   time.Duration // how long the network is cut when the stack is claimed by another host
		within time.Duration // of the claim, or of the network's return
	}{
		"connected": {0, agentapi.DefaultLease().On(true).Length()},
		// not at a full second, when a look could come between the network's return and the claim
		"cut off":        {10*time.Minute + time.Second/2, 20 * time.Second},
		"a short outage": {20*time.Second + time.Second/2, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := &distant{}
				far.Fail = func(string, string) error {
					far.calls.Add(1)
					if far.cut.Load() {
						return errors.New("no route to host")
					}
					return nil
				}
				g := heretest.NewGuarded(t, "alpha", "record", "", 1)
				defer g.Stacks.Close()
				heretest.Seal(t, g.Host, &g.Spec.Stacks[0], "alpha", agentapi.SealedFile{Remotes: map[string]agentapi.SealedRemote{"disk": {Type: "drive"}}})
				if err := g.SaveSpec(g.Spec); err != nil {
					t.Fatal(err)
				}
				g.Lease = agentapi.DefaultLease()
				g.Edges.Folders = func(context.Context, storage.Remotes, fleet.Location) (record.Folder, error) { return far, nil }
				claim(t, far, record.Claim{Epoch: 1, Host: "alpha", Key: g.Recipient()})
				g.Starts(t)
				who := New(g.Host, g.Lease.Within)
				defer who.Close(t.Context())
				ctx, stop := context.WithCancel(t.Context())
				var loops loop.Set
				loops.Start(ctx, who.Watch())
				defer loops.Wait()
				defer stop()
				passes(t, 10*time.Minute)
				if n := far.calls.Swap(0); n > 60 { // of this store, two a look
					t.Errorf("%d calls in ten minutes", n)
				}
				far.cut.Store(c.away > 0)
				passes(t, c.away)
				far.cut.Store(false)
				claim(t, far, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
				back := time.Now()
				for !g.Local(heretest.Notes).Lost || g.Engine.Running(heretest.Notes) {
					if here.Sleep(t.Context(), time.Second) != nil || time.Since(back) > time.Hour {
						t.Fatal("it was never stopped")
					}
				}
				took := time.Since(back)
				t.Logf("stopped after %s", took)
				if took > c.within {
					t.Errorf("stopped after %s, not within %s", took, c.within)
				}
			})
		})
	}
}

func claim(t *testing.T, on *distant, c record.Claim) {
	t.Helper()
	if _, err := record.New(on).Trusting(heretest.FleetTrust()).Claim(t.Context(), heretest.Notes, c, func(string) (bool, bool) { return false, false }); err != nil {
		t.Fatal(err)
	}
}

// passes lets the bubble's clock go on.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	if err := here.Sleep(t.Context(), d); err != nil {
		t.Fatal(err)
	}
}
