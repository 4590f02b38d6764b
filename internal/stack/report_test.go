package stack_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/stack"
	"salvor/internal/stack/stacktest"
)

// TestOffers asks registries about images that are not here. What they do not say is
// reported, but for one that wants a login.
func TestOffers(t *testing.T) {
	t.Parallel()
	e := stacktest.New()
	e.OnRequest = func(_, path string) int {
		switch {
		case strings.HasPrefix(path, "/images/") && !strings.Contains(path, "here"):
			return http.StatusNotFound
		case strings.HasPrefix(path, "/distribution/private"):
			return http.StatusUnauthorized
		case strings.HasPrefix(path, "/distribution/gone"):
			return http.StatusNotFound
		case strings.HasPrefix(path, "/distribution/away"):
			return http.StatusInternalServerError
		}
		return 0
	}
	h := stack.New(e)
	t.Cleanup(h.Close)
	got := stack.Offers(t.Context(), h, map[string]string{"app:1": "app:1@sha256:" + strings.Repeat("a", 64), "away:1": "away:1", "gone:1": "gone:1", "here:1": "here:1", "private:1": "private:1"})
	want := []agentapi.ImageOffer{
		{Image: "app:1", Platforms: []string{"linux/amd64"}},
		{Image: "away:1", Unknown: "its registry can't be asked"},
		{Image: "gone:1", Unknown: "its registry does not have it"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
