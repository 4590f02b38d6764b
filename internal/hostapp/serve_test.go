package hostapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/runlock"
	"salvor/internal/secret"
	"salvor/internal/storage"
	"salvor/internal/version"
)

type ask struct{ Name string }

func request(salvord, body string) string {
	return fmt.Sprintf(`{"schema":%d,"salvord":%q,"body":%s}`, agentapi.OldestSchema, salvord, body)
}

func TestServe(t *testing.T) {
	held := &runlock.HeldError{Holder: runlock.Holder{Owner: "ann@laptop", Message: "apply 1a2b3c4", Since: time.Now()}}
	cases := map[string]struct {
		in   string
		err  error
		want agentapi.Message // the last one
	}{
		"answer":           {in: request(version.String(), `{"Name":"x"}`), want: agentapi.Message{Result: json.RawMessage(`"hello x"`)}},
		"another build":    {in: request("0.1.0+20250101000000.aaaaaaaaaaaa", `{"Name":"x"}`), want: agentapi.Message{Result: json.RawMessage(`"hello x"`)}},
		"a newer protocol": {in: `{"schema":99,"salvord":"9.9.9","body":{}}`, want: agentapi.Message{Error: &agentapi.Error{Code: agentapi.CodeOtherProtocol, Text: version.String()}}},
		"no protocol":      {in: `{"salvord":"0.0.1","body":{}}`, want: agentapi.Message{Error: &agentapi.Error{Code: agentapi.CodeOtherProtocol, Text: version.String()}}},
		"locked":           {in: request(version.String(), `{}`), err: fmt.Errorf("apply: %w", held), want: agentapi.Message{Error: &agentapi.Error{Code: fault.Locked, Text: "apply: " + held.Error()}}},
		"secrets shut":     {in: request(version.String(), `{}`), err: secret.ErrLocked, want: agentapi.Message{Error: &agentapi.Error{Code: fault.SecretsShut, Text: secret.ErrLocked.Error()}}},
		"remote away":      {in: request(version.String(), `{}`), err: storage.ErrUnreachable, want: agentapi.Message{Error: &agentapi.Error{Code: fault.Unreachable, Text: storage.ErrUnreachable.Error()}}},
		"hint":             {in: request(version.String(), `{}`), err: fault.WithHint(errors.New("no"), "try"), want: agentapi.Message{Error: &agentapi.Error{Code: fault.General, Text: "no", Hint: "try"}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			run := decode(func(_ context.Context, a ask, sink progress.Sink) (string, error) {
				sink.Emit(progress.Event{Step: "greet"})
				return "hello " + a.Name, c.err
			})
			var out bytes.Buffer
			if code := serve(t.Context(), run, strings.NewReader(c.in), &out); code != 0 {
				t.Errorf("exit code %d", code)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			var got agentapi.Message
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzRequest: whatever comes in, one answer goes out.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{"", "{}", request(version.String(), `{"Name":"x"}`), request(version.String(), `[]`), request("0.0.1", "null"), `{"schema":3,"body":`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		run := decode(func(context.Context, ask, progress.Sink) (string, error) { return "fine", nil })
		serve(t.Context(), run, bytes.NewReader(in), &out)
		var got agentapi.Message
		if err := json.Unmarshal(out.Bytes(), &got); err != nil || (got.Error == nil) == (got.Result == nil) {
			t.Errorf("%v: %s", err, out.String())
		}
	})
}

// TestAPlanThatIsOutdatedHasACode: salvor plans again then, so it must know.
func TestAPlanThatIsOutdatedHasACode(t *testing.T) {
	if e := wireError(fmt.Errorf("alpha: %w", agent.ErrMoved)); e.Code != agentapi.CodeMoved {
		t.Errorf("code %d", e.Code)
	}
}
