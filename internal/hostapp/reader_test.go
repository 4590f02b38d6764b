package hostapp

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"salvor/internal/agentapi"
	"salvor/internal/progress"
	"salvor/internal/version"
)

func TestVerbEndsWithItsReader(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	request, err := json.Marshal(agentapi.Request{Schema: agentapi.Schema, Salvord: version.String(), Body: json.RawMessage("{}")})
	if err != nil {
		t.Fatal(err)
	}
	var cause error
	verb := func(ctx context.Context, _ json.RawMessage, _ progress.Sink) (any, error) {
		if err := ctx.Err(); err != nil {
			t.Errorf("cut short while somebody reads: %v", err)
		}
		read.Close()
		<-ctx.Done()
		cause = context.Cause(ctx)
		return nil, cause
	}
	if code := serve(t.Context(), verb, strings.NewReader(string(request)), write); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if !errors.Is(cause, errReaderGone) {
		t.Errorf("the verb ended because of %v", cause)
	}
}
