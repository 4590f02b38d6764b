package yamldoc

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/fault"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a: {b\n":            "f.yaml:1: not valid YAML: did not find expected ',' or '}'",
		"a: b\n--- \nc: d\n": "f.yaml:2:1: a second YAML document starts here, want one only",
		"a: b\n---\nc: {\n":  "f.yaml:3: not valid YAML: did not find expected node content",
		"a: *b\n":            "f.yaml: not valid YAML: unknown anchor 'b' referenced",
		"a: \xff\n":          "f.yaml:1:4: the file has a byte that is not text in UTF-8",
	} {
		if root, err := Parse("f.yaml", []byte(in)); err == nil || err.Error() != want || root != nil {
			t.Errorf("%q: %v, want %s", in, err, want)
		}
	}
	for _, in := range []string{"", "# only a comment\n", "---\n"} {
		if root, err := Parse("f.yaml", []byte(in)); err != nil || root != nil && !IsNull(root) {
			t.Errorf("%q: %+v, %v", in, root, err)
		}
	}
}

// flat is what a file says, as text: its paths with dots.
func flat(t *testing.T, in string) (map[string]string, error) {
	t.Helper()
	root, err := Parse("", []byte(in))
	if err != nil {
		t.Fatal(err)
	}
	f, err := Flatten(root)
	said := map[string]string{}
	for id, v := range f {
		said[strings.ReplaceAll(id, "\x00", ".")] = v
	}
	return said, err
}

// TestMerges: what is in the mapping itself wins, then the earlier of several that are
// merged.
func TestMerges(t *testing.T) {
	t.Parallel()
	got, err := flat(t, "x: &x {a: 1, b: 1}\ny: &y {b: 2, c: 2}\nz: {<<: [*x, *y], a: 3}\nl: [*x, n]\n")
	want := map[string]string{
		"": "mapping", "x": "mapping", "x.a": "!!int 1", "x.b": "!!int 1", "y": "mapping", "y.b": "!!int 2", "y.c": "!!int 2",
		"z": "mapping", "z.a": "!!int 3", "z.b": "!!int 1", "z.c": "!!int 2", "l": "list", "l.0": "mapping", "l.0.a": "!!int 1", "l.0.b": "!!int 1", "l.1": "!!str n",
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// TestWhatHasNoEndIsRefused: a few lines fill neither the memory nor the stack.
func TestWhatHasNoEndIsRefused(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'j'; i++ {
		bomb += fmt.Sprintf("%c: &%c [%s*%c]\n", i, i, strings.Repeat("*"+string(i-1)+",", 9), i-1)
	}
	for name, c := range map[string]struct{ in, want string }{
		"an alias within itself":  {"a: &a [b, *a]\n", "the alias *a contains itself"},
		"a mapping merged again":  {"a: &a {<<: *a}\n", "the alias *a contains itself"},
		"aliases of aliases":      {bomb, "more than 200000 values"},
		"many levels":             {strings.Repeat("[", 300) + strings.Repeat("]", 300), "more than 200 levels"},
		"a key twice":             {"a: 1\nb: 2\na: 3\n", `the key "a" is here twice, first in line 1`},
		"a list as a key":         {"? [a]\n: b\n", "found a list as a key, want text"},
		"a number that is merged": {"a: {<<: 3}\n", "found the number 3 to merge (<<), want a mapping"},
	} {
		if said, err := flat(t, c.in); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %d values, want %q", name, err, len(said), c.want)
		}
	}
	root, err := Parse("f.yaml", []byte(bomb))
	if err != nil {
		t.Fatal(err)
	}
	problems := &Report{}
	Flat{}.fill(NewReader("f.yaml", problems), root, nil)
	if problems.Count() != 1 {
		t.Errorf("said %d times", problems.Count())
	}
}

func TestFind(t *testing.T) {
	t.Parallel()
	root, err := Parse("", []byte("x: &x {a: [b, c]}\ny: *x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{"x.a.1": "c", "y.a.0": "b", "x.a.2": "", "x.a.-1": "", "x.a.b": "", "x.b": "", "x.a.0.c": ""} {
		n := Find(root, strings.Split(at, ".")...)
		if got := ""; n != nil {
			if got = n.Value; got != want {
				t.Errorf("%s is %q, want %q", at, got, want)
			}
		} else if want != "" {
			t.Errorf("%s is not there", at)
		}
	}
	if Find(nil, "a") != nil || Find(root) != root {
		t.Error("nothing has something, or the root is not itself")
	}
	if e := Empty(); !IsMapping(e) || IsList(e) || IsScalar(e) || e.Line != 1 {
		t.Errorf("an empty mapping is %+v", e)
	}
}

func TestKindOf(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{}": "a mapping", "[]": "a list", "~": "nothing", "yes": "text", "true": "true", "8": "the number 8", "1.5": "the number 1.5", "a": "text", "!!binary aGk=": "a value tagged !!binary", "!mine a": "a value tagged !mine",
	} {
		root, err := Parse("", []byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := KindOf(root); got != want {
			t.Errorf("%s is %s, want %s", in, got, want)
		}
	}
}

// TestReport: each problem is said once, in the order of the file, with its hint.
func TestReport(t *testing.T) {
	t.Parallel()
	if err := (&Report{}).Err(); err != nil {
		t.Errorf("without a problem: %v", err)
	}
	var r Report
	r.Add(Position{"b.yaml", 1, 2}, "later")
	r.Add(Position{"a.yaml", 9, 1}, "ninth line")
	r.Advise(Position{"a.yaml", 2, 5}, "salvor check", "the %s", "second line")
	r.Add(Position{"a.yaml", 9, 1}, "ninth line")
	r.Add(Position{File: "a.yaml"}, "of the file")
	r.AddRead("gone", fs.ErrNotExist)
	_, missing := os.ReadFile(t.TempDir())
	r.AddRead("c.yaml", missing)
	want := "a.yaml: of the file\na.yaml:2:5: the second line\na.yaml:9:1: ninth line\nb.yaml:1:2: later\nc.yaml: is a directory"
	err := r.Err()
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if hint := fault.Hint(err); hint != "salvor check" {
		t.Errorf("the hint is %q", hint)
	}
	if r.Count() != 5 {
		t.Errorf("%d problems", r.Count())
	}
	var other Report
	other.Join(fmt.Errorf("load: %w", errors.Join(err, errors.New("not about a file"))))
	if got := Problems(other.Err()); len(got) != 5 || got[1].Advice != "salvor check" {
		t.Errorf("joined: %+v", got)
	}
	if got := Problems(errors.New("another kind")); len(got) > 0 {
		t.Errorf("%+v", got)
	}
}

// TestPlaces: what has no place of its own is where the nearest value around it is.
func TestPlaces(t *testing.T) {
	t.Parallel()
	hosts, file := Position{"f.yaml", 2, 3}, Position{File: "f.yaml"}
	places := Places{Path{}.ID(): file, Path{"hosts", "alpha"}.ID(): hosts}
	got := map[string]Position{"alpha": places.Of("hosts", "alpha"), "port": places.Of("hosts", "alpha", "port"), "hosts": places.Of("hosts"), "none": Places{}.Of("a", "b")}
	if want := map[string]Position{"alpha": hosts, "port": hosts, "hosts": file, "none": {}}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	at := Path{"hosts"}
	a, b := at.To("alpha"), at.To("beta")
	if a.String() != "hosts.alpha" || b.String() != "hosts.beta" || at.String() != "hosts" {
		t.Errorf("%s, %s, %s: paths share their end", a, b, at)
	}
}
