package suite

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

const (
	lastLines = 12  // of each broken test, at the end of a run
	lastWidth = 300 // characters of each
)

// brokenEnd prints the last lines of each test that failed, or never ended, just before the
// closing lines: where a long run's output is cut, its end is what remains. Of a test and
// its subtests it is the innermost that says why.
func (r results) brokenEnd(out io.Writer) {
	for _, pkg := range slices.Sorted(maps.Keys(r)) {
		o := r[pkg]
		for _, name := range slices.Sorted(maps.Keys(o.ends)) {
			if o.ends[name].broken && !o.brokenBelow(name) {
				fmt.Fprintf(out, "broken: %s %s\n", pkg, name)
				for _, line := range o.ends[name].lines {
					fmt.Fprintf(out, "    %s\n", line)
				}
			}
		}
	}
}

func (o *outcome) brokenBelow(name string) bool {
	for other, end := range o.ends {
		if end.broken && strings.HasPrefix(other, name+"/") {
			return true
		}
	}
	return false
}

// An end is how a test or subtest ended, and the last that it printed.
type end struct {
	broken bool
	lines  []string
}

// noteEnd keeps the last lines of each test and subtest until it passes.
func (o *outcome) noteEnd(e event) {
	switch e.Action {
	case "run":
		o.ends[e.Test] = end{broken: true}
	case "output":
		now := o.ends[e.Test]
		for line := range strings.SplitSeq(strings.TrimRight(e.Output, "\n"), "\n") {
			now.lines = append(now.lines, line[:min(len(line), lastWidth)])
		}
		now.lines = now.lines[max(0, len(now.lines)-lastLines):]
		o.ends[e.Test] = now
	case "pass", "skip":
		delete(o.ends, e.Test)
	}
}
