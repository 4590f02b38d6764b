// Package finding is the one shape in which Salvor reports that something is
// wrong: a stable code, how bad it is, what it is about and what to do.
package finding

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Severity orders findings. Fatal stops a plan, Warning does not.
type Severity string

// The severities, worst first.
const (
	Fatal   Severity = "fatal"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// A Finding is something wrong. Code is stable and documented in
// docs/reference/findings.md; Subject names a host, stack, volume or file
// (`stacks/notes/compose.yaml:12:5`); Text is one line; Fix is the next command
// or edit.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`
	Text     string   `json:"text"`
	Fix      string   `json:"fix,omitempty"`
	// Stack is the one that a fatal finding about its own files keeps from being
	// deployed; "" for problems of the whole fleet.
	Stack string `json:"stack,omitempty"`
}

// String renders the finding as `subject: text [code]`.
func (f Finding) String() string { return fmt.Sprintf("%s: %s [%s]", f.Subject, f.Text, f.Code) }

// Sort orders findings worst first, then by subject and code, those of a file by line.
func Sort(fs []Finding) {
	rank := map[Severity]int{Fatal: 0, Warning: 1, Info: 2}
	slices.SortStableFunc(fs, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Severity], rank[b.Severity]), bySubject(a.Subject, b.Subject), cmp.Compare(a.Code, b.Code))
	})
}

// bySubject compares subjects, the numbers of file:line:column as numbers.
func bySubject(a, b string) int {
	return slices.CompareFunc(strings.Split(a, ":"), strings.Split(b, ":"), func(a, b string) int {
		m, aerr := strconv.Atoi(a)
		n, berr := strconv.Atoi(b)
		if aerr != nil || berr != nil {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(m, n)
	})
}

// Of returns the findings that keep one stack from being deployed, and those that
// are left.
func Of(fs []Finding) (stacks, others []Finding) {
	for _, f := range fs {
		if f.Severity == Fatal && f.Stack != "" {
			stacks = append(stacks, f)
		} else {
			others = append(others, f)
		}
	}
	return stacks, others
}

// AnyFatal reports whether one of the findings stops a plan.
func AnyFatal(fs []Finding) bool {
	return slices.ContainsFunc(fs, func(f Finding) bool { return f.Severity == Fatal })
}
