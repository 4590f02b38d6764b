package suite

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/lab/labtest"
)

// slowest is how many of the slowest tests are reported.
const slowest = 15

// An event is a line of `go test -json`, see go doc test2json.
type event struct {
	Action, Package, Test, Output, ImportPath string
	Elapsed                                   float64 // seconds
}

// An outcome is what became of one package.
type outcome struct {
	status string // pass, fail or skip (no tests); "" while it runs
	took   time.Duration
	cached bool
	said   map[string]string // what each top-level test printed; "" for the package itself
	tests  map[string]string // status of each top-level test
	times  map[string]time.Duration
	ends   map[string]end // of each test and subtest that has not passed
}

// results are the outcomes by package.
type results map[string]*outcome

// read adds a stream of events until its end. ended is called for each package that
// is done, built for each line that a failed build printed.
func (r results) read(stream io.Reader, ended func(*outcome), built func(line string)) error {
	for in := json.NewDecoder(stream); ; {
		var e event
		switch err := in.Decode(&e); {
		case err == io.EOF:
			return nil
		case err != nil:
			return fmt.Errorf("read go test -json: %w", err)
		case e.Action == "build-output":
			built(e.Output)
		case e.Package != "":
			if o := r.of(e.Package); o.add(e) {
				ended(o)
			}
		}
	}
}

func (r results) of(pkg string) *outcome {
	if r[pkg] == nil {
		r[pkg] = &outcome{said: map[string]string{}, tests: map[string]string{}, times: map[string]time.Duration{}, ends: map[string]end{}}
	}
	return r[pkg]
}

// add takes an event in and reports whether the package is done.
func (o *outcome) add(e event) bool {
	top, _, below := strings.Cut(e.Test, "/")
	took := time.Duration(e.Elapsed * float64(time.Second))
	o.noteEnd(e)
	switch e.Action {
	case "run":
		o.tests[top] = cmp.Or(o.tests[top], "run")
	case "output":
		o.said[top] += e.Output
		o.cached = o.cached || top == "" && strings.HasSuffix(e.Output, "\t(cached)\n")
	case "pass", "fail", "skip":
		if e.Test == "" {
			o.status, o.took = e.Action, took
			return true
		}
		if !below {
			o.tests[top], o.times[top] = e.Action, took
		}
	}
	return false
}

// saying is what the tests with such a status printed, and the package itself.
func (o *outcome) saying(such func(status string) bool) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(o.tests)) {
		if name != "" && such(o.tests[name]) {
			b.WriteString(o.said[name])
		}
	}
	return b.String() + o.said[""]
}

// waiting returns the tests that had to wait for their lab.
func (r results) waiting() (all []Test) {
	for pkg, o := range r {
		for name, said := range o.said {
			if name != "" && strings.Contains(said, labtest.Later) {
				all = append(all, Test{pkg, name})
			}
		}
	}
	return all
}

// merge adds the outcomes of a later run: a package failed if one of its runs did.
func (r results) merge(later results) {
	for pkg, l := range later {
		o := r.of(pkg)
		o.took += l.took
		o.cached = o.cached && l.cached
		if o.status != "fail" {
			o.status = l.status
		}
		for name, status := range l.tests {
			o.tests[name], o.times[name], o.said[name] = status, l.times[name], l.said[name]
		}
		maps.Copy(o.ends, l.ends)
	}
}

func (r results) failed() bool {
	for _, o := range r {
		if o.status != "pass" && o.status != "skip" {
			return true
		}
	}
	return len(r) == 0
}

func (r results) verdict() string {
	if r.failed() {
		return "FAIL"
	}
	return "ok"
}

type timed struct {
	Test
	took time.Duration
}

// slowest returns the n slowest tests, the slowest first.
func (r results) slowest(n int) (all []timed) {
	for pkg, o := range r {
		for name, took := range o.times {
			all = append(all, timed{Test{pkg, name}, took})
		}
	}
	slices.SortFunc(all, func(a, b timed) int {
		return cmp.Or(cmp.Compare(b.took, a.took), cmp.Compare(a.String(), b.String()))
	})
	return all[:min(n, len(all))]
}

// closing prints a line for each package as go test does, FAIL last when one failed.
func (r results) closing(out io.Writer) {
	for _, pkg := range slices.Sorted(maps.Keys(r)) {
		switch o := r[pkg]; {
		case o.status == "skip":
			fmt.Fprintf(out, "?   \t%s\t[no test files]\n", pkg)
		case o.status != "pass":
			fmt.Fprintf(out, "FAIL\t%s\t%.3fs\n", pkg, o.took.Seconds())
		case o.cached:
			fmt.Fprintf(out, "ok  \t%s\t(cached)\n", pkg)
		default:
			fmt.Fprintf(out, "ok  \t%s\t%.3fs\n", pkg, o.took.Seconds())
		}
	}
	if r.failed() {
		fmt.Fprintln(out, "FAIL")
	}
}

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
