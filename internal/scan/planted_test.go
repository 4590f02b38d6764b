package scan

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/zricethezav/gitleaks/v8/detect"
)

// A corpus is a control repository with an INDEX of `file:line what` lines.
// Every value in it is made up.
type corpus struct {
	files map[string][]byte
	index map[string]string // what is at file:line
}

func readCorpus(t testing.TB, name string) corpus {
	t.Helper()
	c := corpus{files: map[string][]byte{}, index: map[string]string{}}
	tree := os.DirFS("testdata/" + name)
	err := fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		c.files[path], err = fs.ReadFile(tree, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(c.files["INDEX"])) {
		at, what, _ := strings.Cut(strings.TrimSpace(line), " ")
		c.index[at] = what
	}
	delete(c.files, "INDEX")
	return c
}

// A scan returns what it finds in a file, by file:line.
type scan func(path string, content []byte) map[string]string

func (c corpus) scanned(find scan) map[string]string {
	all := map[string]string{}
	for path, content := range c.files {
		maps.Copy(all, find(path, content))
	}
	return all
}

// measure counts what a scan misses of the planted secrets, and what it takes for one
// that is none: a look-alike, or a line next to a planted one.
func measure(t *testing.T, name string, planted, lookalikes corpus, find scan) (missed, falsely int) {
	t.Helper()
	found := planted.scanned(find)
	for at, what := range planted.index {
		if _, ok := found[at]; !ok {
			missed++
			t.Logf("%s missed %s %s", name, at, what)
		}
	}
	mistaken := lookalikes.scanned(find)
	for at, says := range found {
		if _, ok := planted.index[at]; !ok {
			mistaken[at] = says
		}
	}
	for at, says := range mistaken {
		t.Logf("%s took %s for a secret: %s %s", name, at, lookalikes.index[at], says)
	}
	t.Logf("%s: %d of %d found, %d false positives among %d look-alikes", name,
		len(planted.index)-missed, len(planted.index), len(mistaken), len(lookalikes.index))
	return missed, len(mistaken)
}

// TestPlanted holds this package to its measure, and shows that of gitleaks alone for
// comparison.
func TestPlanted(t *testing.T) {
	planted, lookalikes := readCorpus(t, "planted"), readCorpus(t, "lookalikes")
	if len(planted.index) < 60 || len(lookalikes.index) < 60 {
		t.Fatalf("%d planted secrets and %d look-alikes, want 60 of each", len(planted.index), len(lookalikes.index))
	}
	s := newScanner(t)
	missed, falsely := measure(t, "salvor", planted, lookalikes, func(path string, content []byte) map[string]string {
		found := map[string]string{}
		for _, l := range s.Scan(path, content) {
			found[fmt.Sprintf("%s:%d", l.Path, l.Line)] = l.Text
		}
		return found
	})
	if missed > 2 || falsely > 2 {
		t.Errorf("%d missed and %d false positives, want at most 2 of each", missed, falsely)
	}
	alone, err := detect.NewDetectorDefaultConfig()
	if err != nil {
		t.Fatal(err)
	}
	measure(t, "gitleaks", planted, lookalikes, func(path string, content []byte) map[string]string {
		found := map[string]string{}
		for _, f := range alone.Detect(detect.Fragment{Raw: string(content), FilePath: path}) { //nolint:staticcheck // v8 takes no other type
			found[fmt.Sprintf("%s:%d", path, f.StartLine+1)] = f.RuleID
		}
		return found
	})
}

// TestPlantedPlaces wants every leak inside of its file, and one for each place.
func TestPlantedPlaces(t *testing.T) {
	s := newScanner(t)
	planted := readCorpus(t, "planted")
	for path, content := range planted.files {
		lines := strings.Split(string(content), "\n")
		seen := map[string]int{}
		for _, l := range s.Scan(path, content) {
			if l.Line < 1 || l.Line > len(lines) || l.Column < 1 || l.Column > len([]rune(lines[l.Line-1]))+1 {
				t.Errorf("%s is outside the file", l)
			}
			seen[fmt.Sprintf("%d:%d", l.Line, l.Column)]++
		}
		for at, n := range seen {
			if diff := cmp.Diff(1, n); diff != "" {
				t.Errorf("%s:%s is reported %d times", path, at, n)
			}
		}
	}
}

func newScanner(t testing.TB) *Scanner {
	t.Helper()
	s, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
