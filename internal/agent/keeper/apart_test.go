package keeper_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"salvor/internal/agent/agenttest"
	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/blob"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/runlock"
	"salvor/internal/storage"
)

// A gate is where uploads to a folder wait until it is opened.
type gate struct {
	folder  string
	reached chan struct{} // one waits there
	open    chan struct{}
}

// gated has uploads of packs to a folder of the pair wait.
func (p *pair) gated(folder string) gate {
	g := gate{folder, make(chan struct{}, 100), make(chan struct{})}
	p.Host.Edges.Folders = func(ctx context.Context, remotes storage.Remotes, where fleet.Location) (record.Folder, error) {
		f, err := storage.Open(ctx, remotes, where)
		if err != nil || !strings.HasPrefix(where.Path, folder) {
			return f, err
		}
		return gatedFolder{f, g}, nil
	}
	return g
}

type gatedFolder struct {
	record.Folder
	gate gate
}

func (f gatedFolder) Put(ctx context.Context, p string, content io.Reader, size int64) (blob.Proof, error) {
	if strings.HasPrefix(p, "data/") {
		f.gate.reached <- struct{}{}
		select {
		case <-f.gate.open:
		case <-ctx.Done():
			return blob.Proof{}, ctx.Err()
		}
	}
	return f.Folder.Put(ctx, p, content, size)
}

// await waits until a condition holds, and fails the test if it does not within a minute.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for began := time.Now(); !holds(); {
		if time.Since(began) > time.Minute {
			t.Fatal("not within a minute: ", what)
		}
		if err := here.Sleep(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
}

// TestACopyDelaysNoSnapshot: while a copy to one target hangs, the stack's own snapshots on the
// other are on time, the daemon's and those of an operator. The target gets a copy of the newest once it is over.
func TestACopyDelaysNoSnapshot(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	watch := ownership.New(p.Host, ownership.AskWithin)
	defer watch.Close(t.Context())
	var ahead atomic.Int64
	p.Host.Edges.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	takers := keeper.NewTakers(keeper.TakerTurn, here.KeepOpen(p.Host))
	round := func(later time.Duration) {
		t.Helper()
		ahead.Store(int64(later))
		if err := p.keeper.TakeDue(t.Context(), watch, takers, progress.Discard()); err != nil {
			t.Fatal(err)
		}
	}
	p.mustTake()
	g := p.gated(p.offsite)
	p.write("two")
	round(25 * time.Hour)
	<-g.reached
	await(t, "the next snapshot is planned", func() bool {
		next := keeper.ScheduleOf(p.keeper, p.Spec, p.Stack.Stack)
		return next != nil && next.Next.After(p.Host.Edges.Now())
	})
	for i, after := range []time.Duration{16 * time.Minute, 32 * time.Minute} {
		p.write(strings.Repeat("more", i+1))
		await(t, "a snapshot on nas", func() bool {
			round(25*time.Hour + after)
			newest, _ := p.newest("nas")
			return newest.Seq == 3+i && p.keeper.Condition(p.Name).On("nas").Snapshot == newest.ID
		})
	}
	p.write("by an operator")
	receipt := p.mustTake()
	if receipt.Snapshot.Seq != 5 || count(t, p.offsite, "cccc0003") != 1 {
		t.Errorf("receipt %+v, and %d snapshots on offsite", receipt, count(t, p.offsite, "cccc0003"))
	}
	if f := agenttest.Only(t, receipt.Findings, finding.SnapshotLasts); !strings.Contains(f.Text, "offsite") {
		t.Errorf("said %+v", f)
	}
	if found := p.keeper.LastingFindings("alpha", p.Stack.Stack, time.Now().Add(keeper.TakerTurn)); len(found) != 1 || !strings.Contains(found[0].Text, "copied to offsite since") {
		t.Errorf("said %+v", found)
	}
	close(g.open)
	takers.Wait()
	if n, _ := p.newest("offsite"); n.Seq != 2 || count(t, p.offsite, "cccc0003") != 2 {
		t.Errorf("offsite has %+v", n)
	}
	round(50 * time.Hour)
	takers.Wait()
	newest, _ := p.newest("nas")
	p.same(newest.Seq)
}

// TestWhatACopyExcludes: nothing is forgotten on any target of the stack, and neither who
// prunes, hands the stack over or gives it back begins, until the copy is over.
func TestWhatACopyExcludes(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.Targets[0].Keep.Last = 1
	p.mustTake()
	g := p.gated(p.offsite)
	p.write("two")
	done := make(chan error)
	go func() { _, err := p.take(); done <- err }()
	<-g.reached
	p.write("three")
	p.mustTake("nas")
	if n := count(t, p.nas, "aaaa0001"); n != 2 {
		t.Errorf("%d snapshots on nas while one of them is copied", n)
	}
	short, cancel := context.WithTimeout(t.Context(), 3*here.LockPause)
	defer cancel()
	_, err := here.LockAlone(short, p.Host, p.Name, "ann", "snapshot prune")
	if held := new(runlock.HeldError); !errors.As(err, &held) || !strings.Contains(held.Holder.Message, "copy to offsite") {
		t.Errorf("who wants to be alone: %v", err)
	}
	close(g.open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	lock, err := here.LockAlone(t.Context(), p.Host, p.Name, "ann", "snapshot prune")
	if err != nil {
		t.Fatal(err)
	}
	lock.Release()
	p.write("four")
	p.mustTake("nas")
	if n := count(t, p.nas, "aaaa0001"); n != 1 {
		t.Errorf("%d snapshots on nas after the copy", n)
	}
}

// TestACopyThatIsInterrupted leaves its target as it was, and free for the next one.
func TestACopyThatIsInterrupted(t *testing.T) {
	t.Parallel()
	p := twoTargets(t)
	p.mustTake()
	g := p.gated(p.offsite)
	p.write("two")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.keeper.Take(ctx, p.Stack, keeper.Taking{Stopped: true, Sink: progress.Discard()})
		done <- err
	}()
	<-g.reached
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(g.open)
	p.mustTake("offsite")
	p.same(2)
}
