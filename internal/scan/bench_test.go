package scan

import (
	"fmt"
	"testing"
)

// BenchmarkScan scans a control repository of 1 MiB: the test data, repeated as
// the stacks of one fleet.
func BenchmarkScan(b *testing.B) {
	s := newScanner(b)
	type file struct {
		path    string
		content []byte
	}
	var tree []file
	size := 0
	planted, lookalikes := readCorpus(b, "planted"), readCorpus(b, "lookalikes")
	for round := 0; size < 1<<20; round++ {
		for _, c := range []corpus{planted, lookalikes} {
			for path, content := range c.files {
				tree = append(tree, file{fmt.Sprintf("stacks/copy%d/%s", round, path), content})
				size += len(content)
			}
		}
	}
	b.SetBytes(int64(size))
	for b.Loop() {
		for _, f := range tree {
			s.Scan(f.path, f.content)
		}
	}
	b.ReportMetric(float64(len(tree)), "files")
}
