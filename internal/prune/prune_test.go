package prune

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/seal"
)

func (p *pruned) prepare(stacks ...string) proposal.Proposal[[]Pruning] {
	p.t.Helper()
	prepared, err := Prepare(p.t.Context(), &p.fleet, stacks...)
	if err != nil {
		p.t.Fatal(err)
	}
	return prepared
}

// TestNothingToPrune asks nothing, and says why.
func TestNothingToPrune(t *testing.T) {
	t.Parallel()
	p := newPruned(t)
	p.fleet.StandBy = func(context.Context, progress.Sink) (StandBy, error) { return nil, errors.New("no host is needed") }
	prepared := p.prepare()
	if prepared.Plan != "notes on offsite: no snapshot was ever taken there\n" || prepared.Question != "" || len(prepared.Loses) > 0 {
		t.Errorf("%+v", prepared)
	}
	done, err := prepared.Run(t.Context(), nil)
	if err != nil || len(done) != 1 || done[0].Done || done[0].Why == "" {
		t.Errorf("%+v, %v", done, err)
	}
	p.fleet.Stacks = func() ([]string, error) { return nil, nil }
	prepared = p.prepare()
	if done, err := prepared.Run(t.Context(), nil); prepared.Plan != "No stack has a snapshot repository on a target yet.\n" || done != nil || err != nil {
		t.Errorf("%q, %+v, %v", prepared.Plan, done, err)
	}
}

// TestAStackThatIsGone is pruned by what the record knows of it, and no host is asked.
func TestAStackThatIsGone(t *testing.T) {
	t.Parallel()
	p := newPruned(t)
	p.fleet.Lock = fleet.Lock{}
	done, err := p.prepare("notes").Run(t.Context(), nil)
	if err != nil || len(done) != 1 || done[0].Host != "" || done[0].Target != "offsite" {
		t.Errorf("%+v, %v", done, err)
	}
}

// TestPrepareFails says of which stack, and what to do.
func TestPrepareFails(t *testing.T) {
	t.Parallel()
	bad := errors.New("bad")
	for name, test := range map[string]struct {
		spoil  func(*Fleet)
		stacks []string
		want   string
	}{
		"another stack": {func(*Fleet) {}, []string{"wiki"}, "wiki: it has no snapshot repository"},
		"the list":      {func(f *Fleet) { f.Stacks = func() ([]string, error) { return nil, bad } }, nil, "bad"},
		"the passwords": {func(f *Fleet) {
			f.Recovery = func(string) (seal.Recovery, error) { return seal.Recovery{}, bad }
		}, nil, "notes: bad"},
		"the record": {func(f *Fleet) { f.With = func(context.Context, func(*record.Record) error) error { return bad } }, nil, "notes: bad"},
		"the record's own": {func(f *Fleet) {
			f.Lock, f.Epoch = fleet.Lock{}, func(context.Context, string) (int, error) { return 0, bad }
		}, nil, "notes: bad"},
		"the target": {func(f *Fleet) {
			f.Open = func(context.Context, fleet.Location) (record.Folder, error) { return nil, bad }
		}, nil, "notes: target offsite: bad"},
	} {
		p := newPruned(t)
		test.spoil(&p.fleet)
		_, err := Prepare(t.Context(), &p.fleet, test.stacks...)
		if err == nil || err.Error() != test.want || len(test.stacks) > 0 && fault.Hint(err) != "salvor snapshot take wiki" {
			t.Errorf("%s: %v", name, err)
		}
	}
}
