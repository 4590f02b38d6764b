package yamldoc

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"salvor/internal/fault"
)

// A Problem is one thing wrong in one place. Load joins all that it found; they
// are reached with errors.As or Problems.
type Problem struct {
	Position Position
	Text     string
	Advice   string // the next command or edit, "" where Text says it all
}

// Error returns `file:line:column: text`.
func (p *Problem) Error() string { return p.Position.String() + ": " + p.Text }

// Problems returns all problems that err holds, joined or wrapped, in the order of their
// place.
// An err of another kind has none.
func Problems(err error) []*Problem {
	var found []*Problem
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
			return
		}
		if wrapped := errors.Unwrap(err); wrapped != nil {
			walk(wrapped)
			return
		}
		var p *Problem
		if errors.As(err, &p) {
			found = append(found, p)
		}
	}
	walk(err)
	slices.SortStableFunc(found, func(a, b *Problem) int { return a.Position.compare(b.Position) })
	return found
}

// A Report collects problems while reading continues.
type Report struct{ all []*Problem }

// Add reports a problem at a place.
func (r *Report) Add(p Position, format string, args ...any) {
	r.all = append(r.all, &Problem{Position: p, Text: fmt.Sprintf(format, args...)})
}

// Advise reports a problem with the next command or edit.
func (r *Report) Advise(p Position, advice, format string, args ...any) {
	r.all = append(r.all, &Problem{Position: p, Text: fmt.Sprintf(format, args...), Advice: advice})
}

// Err joins the problems in the order of their place, each said once: a value
// reached through two aliases would otherwise be reported twice.
func (r *Report) Err() error {
	slices.SortStableFunc(r.all, func(a, b *Problem) int {
		return cmp.Or(a.Position.compare(b.Position), cmp.Compare(a.Text, b.Text))
	})
	r.all = slices.CompactFunc(r.all, func(a, b *Problem) bool { return *a == *b })
	errs := make([]error, len(r.all))
	for i, p := range r.all {
		errs[i] = p
		if p.Advice != "" {
			errs[i] = fault.WithHint(p, p.Advice)
		}
	}
	return errors.Join(errs...)
}

// AddRead reports a file that could not be read; one that is not there is not a
// problem.
func (r *Report) AddRead(file string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	r.Add(Position{File: file}, "%v", fault.WithoutPath(err))
}

// Join takes over the problems that an error holds.
func (r *Report) Join(err error) { r.all = append(r.all, Problems(err)...) }

// Count returns how many problems there are so far.
func (r *Report) Count() int { return len(r.all) }
