package proposal

import (
	"context"
	"errors"
	"testing"

	"salvor/internal/progress"
)

func TestAProposalRunsOnce(t *testing.T) {
	ran := 0
	p := New("move notes to beta", func(_ context.Context, sink progress.Sink) (string, error) {
		sink.Emit(progress.Event{}) // never nil
		ran++
		return "receipt", errors.New("half way")
	})
	p.Question = "Move notes?"
	copied := p
	if r, err := p.Run(t.Context(), nil); r != "receipt" || err == nil || errors.Is(err, ErrBegun) {
		t.Errorf("first run: %q, %v", r, err)
	}
	if r, err := copied.Run(t.Context(), nil); r != "" || !errors.Is(err, ErrBegun) {
		t.Errorf("second run: %q, %v", r, err)
	}
	if ran != 1 {
		t.Errorf("it ran %d times", ran)
	}
}
