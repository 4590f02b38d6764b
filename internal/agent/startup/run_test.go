package startup

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/heretest"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/progress"
	"salvor/internal/record"
)

// TestAStartLooksAgain is a kin of V10: between the first look and the start, data
// came down for minutes, and another host took the stack over.
func TestAStartLooksAgain(t *testing.T) {
	remote := t.TempDir()
	alpha := heretest.NewGuarded(t, "alpha", remote, "", 1)
	heretest.Claim(t, remote, record.Claim{Epoch: 1, Host: "alpha", Key: alpha.Recipient()})
	r := New(keeper.New(alpha.Host), alpha.Spec, progress.Discard())
	defer r.Guard.Close(t.Context())
	st := alpha.Spec.Stacks[0]
	if err := r.On(r.At(r.Spec, st)).checkStillOwned(t.Context()); err != nil {
		t.Fatal(err)
	}
	heretest.Claim(t, remote, record.Claim{Epoch: 2, Host: "beta", Key: "age1beta"})
	r.Guard.Verdicts(t.Context(), alpha.Spec) // minutes later
	if err := r.On(r.At(r.Spec, st)).checkStillOwned(t.Context()); err == nil || !strings.Contains(err.Error(), "beta claimed epoch 2") {
		t.Errorf("it may start: %v", err)
	}
	if err := r.Guard.MayChange(t.Context(), r.At(r.Spec, st)); err == nil {
		t.Error("it may prune") // fault V11
	}
}

// TestAStartWaitsForTheFormerHost is fault V10: the former host could not be asked.
func TestAStartWaitsForTheFormerHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lease := agentapi.DefaultLease().Length()
		r := &Run{Keeper: keeper.New(&here.Host{}), sink: progress.Discard(), free: map[string]time.Time{heretest.Notes: time.Now().Add(lease)}}
		here.Sleep(t.Context(), lease/2)
		began := time.Now()
		for _, want := range []time.Duration{lease - lease/2, 0} {
			if err := r.On(r.At(r.Spec, agentapi.Stack{Name: heretest.Notes})).awaitFormerHost(t.Context()); err != nil || time.Since(began) != want {
				t.Errorf("waited for %s, %v; want %s", time.Since(began), err, want)
			}
			began = time.Now()
		}
	})
}

// TestInterruptedIsNotFailed is fault D26: after Ctrl-C a stack was reported as
// "failed: docker: terminated signal received".
func TestInterruptedIsNotFailed(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	why := errors.New("docker: terminated signal received")
	for name, c := range map[string]struct {
		ctx           context.Context
		broken        error
		outcome, text string
	}{
		"it failed":          {t.Context(), nil, "failed", why.Error()},
		"Ctrl-C":             {ended, nil, "interrupted", "interrupted"},
		"the host is broken": {ended, errors.New("no disk"), "failed", "no disk"},
	} {
		r := New(keeper.New(&here.Host{}), agentapi.Host{}, nil)
		r.Meet(needHost, c.broken)
		if outcome, shown := r.outcomeOf(c.ctx, why); outcome != c.outcome || shown.Text != c.text {
			t.Errorf("%s: %s, %+v", name, outcome, shown)
		}
	}
}

// TestANoteThatCannotBeWrittenKeepsNothingFromStarting is fault V19, the full disk:
// what runs here can't be noted. That is a finding and no error.
func TestANoteThatCannotBeWrittenKeepsNothingFromStarting(t *testing.T) {
	t.Parallel()
	h := &here.Host{Paths: hostpath.Layout{State: t.TempDir(), Run: t.TempDir()}}
	// a file in place of the folder: nothing can be written there, by root either
	heretest.Write(t, filepath.Dir(h.Paths.Placement("x")), "")
	r := New(keeper.New(h), agentapi.Host{Name: "alpha"}, progress.Discard())
	r.On(h.At(r.Spec, agentapi.Stack{Name: "notes", Epoch: 1})).noteStarted()
	if f := r.Receipt.Findings; len(f) != 1 || f[0].Code != finding.DiskFull || f[0].Subject != "alpha/notes" {
		t.Errorf("receipt: %v", f)
	}
}
