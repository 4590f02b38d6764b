package publish

import (
	"fmt"
	"runtime"
	"testing"

	"salvor/internal/route"
)

// BenchmarkReconcile has 1,000 routes that are published already: what is wanted is compared
// with what Cloudflare has. It reports how much is allocated for that, which
// is the most that it adds to the memory of salvord.
func BenchmarkReconcile(b *testing.B) {
	const n = 1000
	at := newBench(b, "example.com")
	var routes []route.Route
	for i := range n {
		routes = append(routes, protected(fmt.Sprintf("h%d.example.com", i)))
	}
	at.want(routes...)
	l := look{p: at.Publisher, d: at.Desired}
	if err := l.all(b.Context()); err != nil {
		b.Fatal(err)
	}
	converged(b, &l.a, at.Desired)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	next := Compare(at.Desired, l.a)
	runtime.ReadMemStats(&after)
	if len(next.Live) != n {
		b.Fatalf("%d live, %d wait", len(next.Live), len(next.Waiting))
	}
	for b.Loop() {
		Compare(at.Desired, l.a)
	}
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/(1<<20), "MiB")
}

// converged gives Cloudflare all that is wanted, step by step and without a request.
func converged(b *testing.B, a *Actual, d Desired) {
	b.Helper()
	for step := 0; ; step++ {
		next := Compare(d, *a)
		if next.None() && len(next.Waiting) == 0 {
			return
		}
		if step > maxSteps {
			b.Fatal("it does not converge")
		}
		for _, app := range next.Put {
			app.ID = app.Domain
			a.Apps = append(a.Apps, app)
		}
		if next.Rules != nil {
			a.Config = a.Config.With(next.Rules)
			a.Config.Version++
		}
		a.Live = a.Config.Version
		for _, c := range next.Records {
			c.Want.ID = c.Hostname
			a.Zones[0].Records = append(a.Zones[0].Records, c.Want)
		}
	}
}
