package benches

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"salvor/internal/lab/world"
)

// plan is a Go benchmark: it joins the operator's half with salvord's own
// observation in one process, which the lab's programs do not link.
func plan(ctx context.Context, log func(string, ...any), report func(Figure)) error {
	root, err := world.Root(ctx)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkPlan$", "-benchtime", "1x", "-count", "3", "./internal/app")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go test: %w\n%s", err, tail(string(out), 2000))
	}
	best, err := fastestOp(string(out))
	if err != nil {
		return err
	}
	log("a plan, best of three: %s", best)
	report(AtMost("plan", best.Seconds(), "s", 2))
	return nil
}

// fastestOp reads the shortest ns/op of what `go test -bench` printed.
func fastestOp(out string) (best time.Duration, err error) {
	for _, m := range regexp.MustCompile(`(?m)^Benchmark\S+\s+\d+\s+(\d+)(?:\.\d+)? ns/op`).FindAllStringSubmatch(out, -1) {
		ns, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return 0, err
		}
		if took := time.Duration(ns); best == 0 || took < best {
			best = took
		}
	}
	if best == 0 {
		err = fmt.Errorf("go test printed no benchmark:\n%s", tail(out, 2000))
	}
	return best, err
}
