// Package convergetest checks the law that every kind of resource obeys: looking
// changes nothing, after Apply there is nothing left to do, and a run that was
// interrupted anywhere is finished by running it again.
package convergetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/converge"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/progress"
)

// maxCuts bounds the search for the last boundary; no list of resources in the
// tests makes as many calls.
const maxCuts = 2000

// Law checks the convergence law for resources on hosts that newHost makes, all
// alike. At least one resource must differ from such a host.
func Law(t *testing.T, newHost func() *debiantest.Host, resources ...converge.Resource) {
	t.Helper()
	done := newHost()
	before := done.State()
	p := plan(t, done, resources)
	if p.Empty() {
		t.Fatal("nothing to do on a new host: this proves nothing")
	}
	if diff := cmp.Diff(before, done.State()); diff != "" {
		t.Fatalf("looking changed the host (-before +after):\n%s", diff)
	}
	if _, err := p.Apply(t.Context(), quiet()); err != nil {
		t.Fatalf("apply: %v\nplan:\n%s", err, p)
	}
	if again := plan(t, done, resources); !again.Empty() {
		t.Fatalf("there is a plan after apply:\n%s", again)
	}
	for _, how := range []Cut{Refused, Lost, Cancelled} {
		cutEverywhere(t, how, newHost, done.State(), resources)
	}
}

// cutEverywhere cuts the first run before its first call, its second, … until
// it gets through, and finishes each by a second run.
func cutEverywhere(t *testing.T, how Cut, newHost func() *debiantest.Host, want string, resources []converge.Resource) {
	t.Helper()
	for at := range maxCuts {
		h := newHost()
		cut := &cutMachine{Machine: h, how: how, left: at}
		p := plan(t, cut, resources)
		ctx := cut.arm(t.Context()) // what is cut is the apply
		_, err := p.Apply(ctx, quiet())
		finish(t, h, how, at, resources)
		if diff := cmp.Diff(want, h.State()); diff != "" {
			t.Fatalf("%s at call %d, then run again: another end state (-uncut +cut):\n%s", how, at, diff)
		}
		if !cut.happened() {
			if err != nil {
				t.Fatalf("apply through an uncut machine: %v", err)
			}
			return
		}
		if err == nil && how == Cancelled {
			t.Fatalf("%s at call %d: apply says all is done", how, at)
		}
	}
	t.Fatalf("still cut after %d calls", maxCuts)
}

func finish(t *testing.T, h machine.Machine, how Cut, at int, resources []converge.Resource) {
	t.Helper()
	p := plan(t, h, resources)
	if _, err := p.Apply(t.Context(), quiet()); err != nil {
		t.Fatalf("%s at call %d, then run again: %v\nplan:\n%s", how, at, err, p)
	}
	if again := plan(t, h, resources); !again.Empty() {
		t.Fatalf("%s at call %d: there is a plan after the second run:\n%s", how, at, again)
	}
}

func plan(t *testing.T, m machine.Machine, resources []converge.Resource) *converge.Plan {
	t.Helper()
	p, err := converge.NewPlan(t.Context(), m, resources)
	if err != nil {
		t.Fatalf("plan: %v", err)
	}
	return p
}

func quiet() progress.Scope { return progress.Scope{Sink: progress.Discard()} }
