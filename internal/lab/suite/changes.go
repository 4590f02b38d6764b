package suite

import (
	"context"
	"path"
	"slices"
	"strconv"
	"strings"
)

// usualLanding is how many commits count as one landing. What lands at once is
// not written in the history, which is one line.
const usualLanding = 20

// reached returns the commit that is tested, and which tests the changes since
// the last landing reach. Where the history does not go back that far, as in a
// shallow clone, everything has changed.
func (s *suite) reached(ctx context.Context, known map[Test]fact) (commit string, reached func(Test) bool, err error) {
	head, err := lines(ctx, "git", "rev-parse", "HEAD")
	if err != nil {
		s.Log("no commit draws the order: %v", err)
		head = []string{""}
	}
	since := s.Since
	if since == "" {
		since = "HEAD~" + strconv.Itoa(usualLanding)
	}
	files, err := lines(ctx, "git", "diff", "--name-only", since)
	if err != nil {
		s.Log("everything counts as changed: %v", err)
		return head[0], func(Test) bool { return true }, nil
	}
	g, err := readGraph(ctx)
	return head[0], func(t Test) bool { return g.reaches(t, known[t], changed(files)) }, err
}

// changed returns the packages that files belong to; a file in testdata, or one
// that is embedded from a folder below, belongs to the folders above it, too.
// Documents reach nothing.
func changed(files []string) (packages []string) {
	for _, file := range files {
		if strings.HasSuffix(file, ".md") {
			continue
		}
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			packages = append(packages, module+dir)
			if strings.HasSuffix(file, ".go") {
				break
			}
		}
		if file == "go.mod" {
			packages = append(packages, everything)
		}
	}
	slices.Sort(packages)
	return slices.Compact(packages)
}

// everything is the mark of a change that reaches all packages.
const everything = "everything"

// A graph is what each package builds on, itself included; a package's tests
// are the package's name and tests.
type graph map[string][]string

const tests = ".test"

// readGraph asks go list.
func readGraph(ctx context.Context) (graph, error) {
	rows, err := lines(ctx, "go", "list", "-test", "-f", `{{.ImportPath}} {{join .Deps " "}}`, module+"...")
	if err != nil {
		return nil, err
	}
	return parseGraph(rows), nil
}

func parseGraph(rows []string) graph {
	g := graph{}
	for _, row := range rows {
		fields := strings.Fields(row)
		if len(fields) > 1 && strings.HasPrefix(fields[1], "[") {
			continue // the package again, as its tests see it
		}
		name := fields[0]
		for _, on := range fields {
			if strings.HasPrefix(on, module) {
				g[name] = append(g[name], strings.TrimSuffix(on, tests))
			}
		}
	}
	return g
}

// reaches reports whether a change of the packages reaches the test: through
// what it is written with, or what it is about.
func (g graph) reaches(t Test, f fact, changed []string) bool {
	about := f.about
	if t.Package == scenarios && len(about) == 0 {
		about = []string{module + "cmd/salvor", module + "cmd/salvord"}
	}
	on := slices.Clone(g[t.Package+tests])
	for _, pkg := range about {
		on = append(on, g[pkg]...)
	}
	return slices.ContainsFunc(changed, func(pkg string) bool { return pkg == everything || slices.Contains(on, pkg) })
}
