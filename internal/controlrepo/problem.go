package controlrepo

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// A Position is a place in a file of the repository. Line and Column count from
// 1, columns in characters; Line 0 means the file as a whole, Column 0 the line.
type Position struct {
	File         string // relative to the repository, with slashes
	Line, Column int
}

// String returns `file:line:column`, without what is unknown.
func (p Position) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// A Problem is one thing wrong in one place. Load joins all that it found; they
// are reached with errors.As or Problems.
type Problem struct {
	Position Position
	Text     string
	Advice   string // the next command or edit, "" where Text says it all
}

// stack returns the stack in whose folder the problem is, "" for none.
func (p *Problem) stack() string {
	below, is := strings.CutPrefix(p.Position.File, fleet.StackDir+"/")
	name, _, _ := strings.Cut(below, "/")
	if !is {
		return ""
	}
	return name
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

// problemList collects problems while reading continues.
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
