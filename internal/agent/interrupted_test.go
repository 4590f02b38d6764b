package agent

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/agentapi"
)

// TestInterruptedIsNotFailed is fault D26: after Ctrl-C a stack was reported as
// "failed: docker: terminated signal received".
func TestInterruptedIsNotFailed(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	why := errors.New("docker: terminated signal received")
	for name, c := range map[string]struct {
		ctx           context.Context
		broken        error
		outcome, text string
	}{
		"it failed":          {t.Context(), nil, "failed", why.Error()},
		"Ctrl-C":             {ended, nil, "interrupted", "interrupted"},
		"the host is broken": {ended, errors.New("no disk"), "failed", "no disk"},
	} {
		r := newRun((&Host{}).keeper(), agentapi.Host{}, nil)
		r.broken = c.broken
		if outcome, told := r.explain(c.ctx, why); outcome != c.outcome || told.Text != c.text {
			t.Errorf("%s: %s, %+v", name, outcome, told)
		}
	}
}
