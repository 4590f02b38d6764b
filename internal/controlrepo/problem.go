package controlrepo

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

// Problems returns the problems that err holds, in the order of their place.
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
		var p *Problem
		if errors.As(err, &p) {
			found = append(found, p)
		}
	}
	walk(err)
	slices.SortStableFunc(found, func(a, b *Problem) int { return a.Position.compare(b.Position) })
	return found
}

// problemList collects problems while reading goes on.
type problemList struct{ all []*Problem }

func (l *problemList) add(p Position, format string, args ...any) {
	l.all = append(l.all, &Problem{Position: p, Text: fmt.Sprintf(format, args...)})
}

func (l *problemList) advise(p Position, advice, format string, args ...any) {
	l.all = append(l.all, &Problem{Position: p, Text: fmt.Sprintf(format, args...), Advice: advice})
}

// err joins the problems in the order of their place, each said once: a value
// reached through two aliases would otherwise be reported twice.
func (l *problemList) err() error {
	slices.SortStableFunc(l.all, func(a, b *Problem) int {
		return cmp.Or(a.Position.compare(b.Position), cmp.Compare(a.Text, b.Text))
	})
	l.all = slices.CompactFunc(l.all, func(a, b *Problem) bool { return *a == *b })
	errs := make([]error, len(l.all))
	for i, p := range l.all {
		errs[i] = p
		if p.Advice != "" {
			errs[i] = fault.WithHint(p, p.Advice)
		}
	}
	return errors.Join(errs...)
}

// addRead reports a file that could not be read; one that is not there is no
// problem.
func (l *problemList) addRead(file string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	l.add(Position{File: file}, "%v", err)
}

// join takes over the problems that an error holds.
func (l *problemList) join(err error) { l.all = append(l.all, Problems(err)...) }

// count returns how many problems there are so far.
func (l *problemList) count() int { return len(l.all) }
