package routecase

import (
	"slices"
	"testing"
)

// TestMatched: which events the words of checkpoints are about.
func TestMatched(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		containers, events, after []string
		want                      []int
	}{
		"expiry":             {[]string{"a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "720 cleanup-tick"}, []string{"stopped, inside the grace period", "after the grace period"}, []int{1, 2}},
		"expiry, running":    {[]string{"a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "720 cleanup-tick"}, []string{"running", "expired"}, []int{0, 2}},
		"all three":          {[]string{"a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "720 cleanup-tick"}, []string{"a runs", "a is pending", "a is gone"}, []int{0, 1, 2}},
		"made again":         {[]string{"a hostname=a.example.com", "a hostname=a.example.com"}, []string{"0 start of a", "60 stop of a", "61 start of a"}, []string{"protected", "labels without access"}, []int{0, 2}},
		"no words":           {[]string{"a hostname=a.example.com", "b hostname=b.example.com"}, []string{"0 start of a", "1 start of b"}, []string{"first", "second"}, []int{0, 1}},
		"a drift":            {[]string{"a hostname=a.example.com"}, []string{"0 start of a", "60 rule deleted at Cloudflare", "75 full-reconcile"}, []string{"after the reconcile"}, []int{2}},
		"more than there is": {[]string{"a hostname=a.example.com"}, []string{"0 start of a"}, []string{"one", "two"}, []int{0, 0}},
	} {
		played := parse(t, "", c.containers, c.events)
		for _, after := range c.after {
			played.checkpoints = append(played.checkpoints, checkpoint{After: after})
		}
		var got []int
		for _, at := range played.Play().Checkpoints {
			got = append(got, slices.IndexFunc(played.events, func(e event) bool { return e.At == at.At }))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
