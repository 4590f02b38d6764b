package deploy

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/progress"
)

// TestASlowHostIsNamed: ten seconds of silence look like a program that hangs.
func TestASlowHostIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		takes []time.Duration
		want  []string
	}{
		"all are quick": {[]time.Duration{time.Second, time.Second}, nil},
		"one is slow":   {[]time.Duration{time.Second, 10 * time.Second}, []string{"waiting for beta…"}},
		"both are":      {[]time.Duration{9 * time.Second, 10 * time.Second}, []string{"waiting for alpha, beta…"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var said []string
				sink := progress.SinkFunc(func(e progress.Event) { said = append(said, e.Text) })
				askEach(sink, []string{"alpha", "beta"}, func(i int) { <-time.After(c.takes[i]) })
				if diff := cmp.Diff(c.want, said); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}
