package suite

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadTable(t *testing.T) {
	got, err := readTable("# a comment\n\ninternal/lab TestLabHost 40 lab machine/ssh # and another\ninternal/stack TestOnHost 90\ninternal/lab TestByHand run\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[Test]fact{
		{"salvor/internal/lab", "TestLabHost"}:  {takes: 40 * time.Second, about: []string{"salvor/internal/lab", "salvor/internal/machine/ssh"}},
		{"salvor/internal/stack", "TestOnHost"}: {takes: 90 * time.Second},
		{"salvor/internal/lab", "TestByHand"}:   {alone: true},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(fact{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"internal/lab TestLabHost", "a T x", "a T 0", "a T 1\na T 2"} {
		if _, err := readTable(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestTableIsTrue keeps the table to tests and packages that exist.
func TestTableIsTrue(t *testing.T) {
	known, err := table()
	if err != nil {
		t.Fatal(err)
	}
	for test, f := range known {
		dir := filepath.Join("../../..", strings.TrimPrefix(test.Package, module))
		if !regexp.MustCompile(`(?m)^func ` + test.Name + `\(`).Match(testFiles(t, dir)) {
			t.Errorf("the table has %s, which does not exist", test)
		}
		for _, pkg := range f.about {
			if files, _ := filepath.Glob(filepath.Join("../../..", strings.TrimPrefix(pkg, module), "*.go")); len(files) == 0 {
				t.Errorf("%s is about %s, which does not exist", test, pkg)
			}
		}
	}
}

func testFiles(t *testing.T, dir string) []byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: no tests, %v", dir, err)
	}
	var all []byte
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, content...)
	}
	return all
}

func TestChangesReachTests(t *testing.T) {
	g := parseGraph([]string{
		"salvor/cmd/salvor fmt salvor/internal/app salvor/internal/deep",
		"salvor/cmd/salvord fmt salvor/internal/agent salvor/internal/deep",
		"salvor/internal/vault salvor/internal/deep",
		"salvor/internal/lab salvor/internal/fault",
		"salvor/internal/lab/scenarios",
		"salvor/internal/lab/scenarios.test salvor/internal/lab salvor/internal/fault salvor/internal/lab/scenarios",
		"salvor/internal/lab/scenarios [salvor/internal/lab/scenarios.test] salvor/internal/lab",
	})
	whole := Test{scenarios, "TestMove"}
	vault := Test{scenarios, "TestVault"}
	about := map[Test]fact{vault: {about: []string{"salvor/internal/vault"}}}
	for _, c := range []struct {
		file         string
		whole, vault bool
	}{
		{"internal/app/apply.go", true, false},
		{"internal/agent/testdata/x.json", true, false},
		{"internal/vault/v.go", false, true},
		{"internal/deep/d.go", true, true},
		{"internal/lab/recipe/nginx.sh", true, true},
		{"internal/lab/scenarios/move_test.go", true, true},
		{"internal/archtest/files_test.go", false, false},
		{"internal/app/README.md", false, false},
		{"docs/reference/commands.html", false, false},
		{"go.mod", true, true},
		{"README.md", false, false},
	} {
		packages := changed([]string{c.file})
		if got := g.reaches(whole, about[whole], packages); got != c.whole {
			t.Errorf("%s reaches a scenario about everything: %t, want %t", c.file, got, c.whole)
		}
		if got := g.reaches(vault, about[vault], packages); got != c.vault {
			t.Errorf("%s reaches a scenario about the vault: %t, want %t", c.file, got, c.vault)
		}
	}
}

// TestGraphOfThisProject asks the real go list.
func TestGraphOfThisProject(t *testing.T) {
	g, err := readGraph(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	host := Test{module + "internal/stack", "TestOnHost"}
	if !g.reaches(host, fact{}, changed([]string{"internal/stack/host.go"})) {
		t.Error("a change in internal/stack does not reach its own test")
	}
	if g.reaches(host, fact{}, changed([]string{"internal/cli/root.go"})) {
		t.Error("a change in internal/cli reaches the tests of internal/stack")
	}
	if !g.reaches(Test{scenarios, "TestMove"}, fact{}, changed([]string{"internal/cli/root.go"})) {
		t.Error("a change in internal/cli does not reach a scenario")
	}
}
