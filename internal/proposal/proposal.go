// Package proposal is what a workflow offers to do before it does anything: the
// command line, a page or a drill shows it, has it confirmed and runs it.
package proposal

import (
	"context"
	"errors"
	"sync/atomic"

	"salvor/internal/progress"
)

// A Proposal is a change that was prepared and not begun. Preparing writes nothing
// that the operator has to undo. R is the receipt of the change.
type Proposal[R any] struct {
	Title    string   // what it is, "recover alpha on beta"
	Plan     string   // what it will do, in lines for people, "" where Question says it all
	Question string   // answered by yes or no; "" where nothing has to be confirmed
	Name     string   // typed to confirm what may lose data, "" where a yes will do
	Loses    []string // the data that it may lose, one sentence each

	run   func(context.Context, progress.Sink) (R, error)
	begun *atomic.Bool
}

// New returns a proposal that run carries out. The caller fills in the rest.
func New[R any](title string, run func(context.Context, progress.Sink) (R, error)) Proposal[R] {
	return Proposal[R]{Title: title, run: run, begun: new(atomic.Bool)}
}

// ErrBegun means that a proposal was run before: what it was prepared for may have
// changed since.
var ErrBegun = errors.New("this was already started; prepare it again")

// Run carries the change out, once: a second call returns ErrBegun. The caller
// has confirmed the proposal. The receipt counts also with an error: it says how far
// things got. sink may be nil.
func (p Proposal[R]) Run(ctx context.Context, sink progress.Sink) (R, error) {
	if !p.begun.CompareAndSwap(false, true) {
		var none R
		return none, ErrBegun
	}
	if sink == nil {
		sink = progress.Discard()
	}
	return p.run(ctx, sink)
}
