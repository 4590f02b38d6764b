// Package hostapp is the composition root of salvord: it picks the
// implementations for a real host and serves the verbs.
package hostapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"salvor/internal/agent"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/version"
)

// maxRequest bounds what is read from salvor: rendered projects of every stack
// of a host, with their files.
const maxRequest = 256 << 20

// A verb answers one request.
type verb func(ctx context.Context, body json.RawMessage, sink progress.Sink) (any, error)

// serve reads one request, runs the verb and writes its messages. The exit code
// is 0 whenever an answer was written: the answer itself says how it went.
func serve(ctx context.Context, run verb, in io.Reader, out io.Writer) int {
	w := &messages{enc: json.NewEncoder(out)}
	ctx, stop := whileRead(ctx, out)
	defer stop()
	result, err := answer(ctx, run, in, w)
	if err != nil {
		w.write(agentapi.Message{Error: wireError(err)})
		return 0
	}
	encoded, err := json.Marshal(result)
	if err != nil {
		w.write(agentapi.Message{Error: wireError(err)})
		return 0
	}
	w.write(agentapi.Message{Result: encoded})
	return 0
}

func answer(ctx context.Context, run verb, in io.Reader, w *messages) (any, error) {
	req, err := readRequest(in)
	if err != nil {
		return nil, err
	}
	return run(ctx, req.Body, w)
}

// readRequest refuses a request of a protocol that this salvord does not speak.
func readRequest(in io.Reader) (req agentapi.Request, err error) {
	if err := json.NewDecoder(io.LimitReader(in, maxRequest)).Decode(&req); err != nil {
		return req, fmt.Errorf("read request: %w", err)
	}
	if req.Schema < agentapi.OldestSchema || req.Schema > agentapi.Schema {
		return req, &agentapi.Error{Code: agentapi.CodeOtherProtocol, Text: version.String()}
	}
	return req, nil
}

// decode adapts a typed function to a verb.
func decode[Req, Resp any](f func(context.Context, Req, progress.Sink) (Resp, error)) verb {
	return func(ctx context.Context, body json.RawMessage, sink progress.Sink) (any, error) {
		var req Req
		if err := json.Unmarshal(body, &req); err != nil {
			return nil, fmt.Errorf("read request: %w", err)
		}
		return f(ctx, req, sink)
	}
}

// wireError turns an error into what crosses the wire, with the exit code that
// salvor should end with.
func wireError(err error) *agentapi.Error {
	var told *agentapi.Error
	if errors.As(err, &told) {
		return told
	}
	e := &agentapi.Error{Code: fault.General, Text: err.Error(), Hint: fault.Hint(err)}
	if code, ok := fault.Code(err); ok {
		e.Code = code
	} else if errors.Is(err, agent.ErrMoved) {
		e.Code = agentapi.CodeMoved
	}
	return e
}

// messages writes one message a line; it is the sink of the verb's events.
type messages struct {
	mu  sync.Mutex
	enc *json.Encoder
}

// Emit implements progress.Sink.
func (m *messages) Emit(e progress.Event) { m.write(agentapi.Message{Event: &e}) }

// write sends one message. When salvor is gone no one reads the answer; the verb
// notices by its context.
func (m *messages) write(msg agentapi.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.enc.Encode(msg)
}
