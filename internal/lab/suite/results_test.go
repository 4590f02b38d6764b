package suite

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/lab/labtest"
)

const stream = `{"Action":"start","Package":"salvor/a"}
{"Action":"run","Package":"salvor/a","Test":"TestOne"}
{"Action":"output","Package":"salvor/a","Test":"TestOne","Output":"=== RUN   TestOne\n"}
{"Action":"run","Package":"salvor/a","Test":"TestOne/sub"}
{"Action":"output","Package":"salvor/a","Test":"TestOne/sub","Output":"    one_test.go:3: broken\n"}
{"Action":"fail","Package":"salvor/a","Test":"TestOne/sub","Elapsed":9}
{"Action":"fail","Package":"salvor/a","Test":"TestOne","Elapsed":1.5}
{"Action":"run","Package":"salvor/a","Test":"TestTwo"}
{"Action":"output","Package":"salvor/a","Test":"TestTwo","Output":"    fine\n"}
{"Action":"pass","Package":"salvor/a","Test":"TestTwo","Elapsed":0.5}
{"Action":"run","Package":"salvor/a","Test":"TestHung"}
{"Action":"output","Package":"salvor/a","Test":"TestHung","Output":"panic: test timed out\n"}
{"Action":"output","Package":"salvor/a","Output":"FAIL\tsalvor/a\t2.000s\n"}
{"Action":"fail","Package":"salvor/a","Elapsed":2}
{"Action":"run","Package":"salvor/b","Test":"TestLab"}
{"Action":"output","Package":"salvor/b","Test":"TestLab","Output":"    labtest.go:1: ` + labtest.Later + `\n"}
{"Action":"skip","Package":"salvor/b","Test":"TestLab","Elapsed":0}
{"Action":"output","Package":"salvor/b","Output":"ok  \tsalvor/b\t(cached)\n"}
{"Action":"pass","Package":"salvor/b","Elapsed":0}
{"Action":"output","Package":"salvor/c","Output":"?   \tsalvor/c\t[no test files]\n"}
{"Action":"skip","Package":"salvor/c","Elapsed":0}
{"ImportPath":"salvor/d","Action":"build-output","Output":"d.go:1: undefined: x\n"}
{"ImportPath":"salvor/d","Action":"build-fail"}
{"Action":"fail","Package":"salvor/d","Elapsed":0,"FailedBuild":"salvor/d"}
`

func read(t *testing.T, stream string) (r results, said string) {
	t.Helper()
	var out strings.Builder
	s := &suite{Options: Options{Out: &out}}
	r = results{}
	if err := r.read(strings.NewReader(stream), s.ended, s.print); err != nil {
		t.Fatal(err)
	}
	return r, out.String()
}

func TestResultsOfAStream(t *testing.T) {
	r, said := read(t, stream)
	want := "panic: test timed out\n=== RUN   TestOne\n    one_test.go:3: broken\nFAIL\tsalvor/a\t2.000s\nd.go:1: undefined: x\n"
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("printed: %s", diff)
	}
	if diff := cmp.Diff([]Test{{"salvor/b", "TestLab"}}, r.waiting()); diff != "" {
		t.Errorf("waiting: %s", diff)
	}
	if diff := cmp.Diff("FAIL\tsalvor/a\t2.000s\nok  \tsalvor/b\t(cached)\n?   \tsalvor/c\t[no test files]\nFAIL\tsalvor/d\t0.000s\nFAIL\n", closing(r)); diff != "" {
		t.Errorf("closing: %s", diff)
	}
	var ends strings.Builder
	r.brokenEnd(&ends)
	if diff := cmp.Diff("broken: salvor/a TestHung\n    panic: test timed out\nbroken: salvor/a TestOne/sub\n    one_test.go:3: broken\n", strings.ReplaceAll(ends.String(), "        ", "    ")); diff != "" {
		t.Errorf("ends: %s", diff)
	}
	slow := r.slowest(1)
	if len(slow) != 1 || slow[0].Test != (Test{"salvor/a", "TestOne"}) || slow[0].took != 1500*time.Millisecond {
		t.Errorf("slowest: %v", slow)
	}
}

func TestLaterRunsCountForTheirPackage(t *testing.T) {
	const skipped = `{"Action":"run","Package":"salvor/b","Test":"TestLab"}
{"Action":"skip","Package":"salvor/b","Test":"TestLab","Elapsed":0}
{"Action":"pass","Package":"salvor/b","Elapsed":1}
`
	for status, want := range map[string]string{
		"pass": "ok  \tsalvor/b\t8.000s\n",
		"fail": "FAIL\tsalvor/b\t8.000s\nFAIL\n",
	} {
		r, _ := read(t, skipped)
		for _, end := range []string{status, "pass"} { // a later success mends nothing
			later, _ := read(t, `{"Action":"run","Package":"salvor/b","Test":"TestLab"}
{"Action":"`+end+`","Package":"salvor/b","Test":"TestLab","Elapsed":3}
{"Action":"`+end+`","Package":"salvor/b","Elapsed":3.5}
`)
			r.merge(later)
		}
		if diff := cmp.Diff(want, closing(r)); diff != "" {
			t.Errorf("%s: %s", status, diff)
		}
	}
}

func TestNothingRunIsNoSuccess(t *testing.T) {
	if !(results{}).failed() {
		t.Error("no package ran, and that counts as passed")
	}
	unfinished, _ := read(t, `{"Action":"run","Package":"salvor/b","Test":"TestLab"}`+"\n")
	if !unfinished.failed() {
		t.Error("a package that never ended counts as passed")
	}
}

func closing(r results) string {
	var out strings.Builder
	r.closing(&out)
	return out.String()
}
