package hostlink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/terminal"
)

const (
	maxLine   = 16 << 20 // of one message
	maxAnswer = 64 << 20 // of all messages of one answer, progress included
	maxParts  = 1 << 19  // of a result: an element of two bytes takes some hundred once it is decoded
)

// errTooMuch ends a conversation with a host that does not stop talking.
var errTooMuch = errors.New("the answer of salvord is too long")

// reader decodes the lines of salvord's standard output as they come.
type reader struct {
	link    *Link
	end     context.CancelFunc // ends salvord
	partial []byte
	total   int
	last    *agentapi.Message
	err     error
}

// Write implements io.Writer.
func (r *reader) Write(p []byte) (int, error) {
	n := len(p)
	if r.total += n; r.total > maxAnswer {
		return 0, r.tooMuch()
	}
	for {
		line, rest, found := bytes.Cut(p, []byte("\n"))
		if len(r.partial)+len(line) > maxLine {
			return 0, r.tooMuch()
		}
		if !found {
			r.partial = append(r.partial, line...)
			return n, nil
		}
		r.line(append(r.partial, line...))
		r.partial, p = r.partial[:0], rest
	}
}

func (r *reader) tooMuch() error {
	r.err, r.last, r.partial = fmt.Errorf("%s: %w", r.link.Host, errTooMuch), nil, nil
	r.end()
	return r.err
}

func (r *reader) line(line []byte) {
	var m agentapi.Message
	if err := json.Unmarshal(line, &m); err != nil {
		if r.err == nil {
			r.err = fmt.Errorf("%s: salvord printed something that is not a message: %.80q", r.link.Host, line)
		}
		return
	}
	if m.Event != nil {
		r.event(*m.Event)
		return
	}
	r.last = &m
}

var states = []progress.State{progress.Started, progress.Running, progress.Done, progress.Skipped, progress.Failed, progress.Note}

// event passes on what can be progress of the host.
func (r *reader) event(e progress.Event) {
	if e.Stack != "" && fleet.ValidKept(e.Stack) != nil || !slices.Contains(states, e.State) {
		return
	}
	if now := time.Now(); e.Time.After(now.Add(ahead)) {
		e.Time = now.UTC()
	}
	e.Host, e.Step, e.Text = r.link.Host, terminal.Line(e.Step), terminal.Visible(e.Text)
	r.link.Sink.Emit(e)
}

// outcome says whether salvord gave an answer, and which.
func (r *reader) outcome(verb string, req, resp any) (answered bool, err error) {
	switch {
	case errors.Is(r.err, errTooMuch):
		return true, r.err
	case r.last == nil:
		return false, nil
	case r.last.Error != nil && r.last.Error.Code == agentapi.CodeOtherProtocol:
		return true, r.link.otherProtocol(fmt.Sprintf("%.80s", terminal.Line(r.last.Error.Text)))
	case r.last.Error != nil:
		told := words(r.link.Host, r.last.Error)
		if told.Code == agentapi.CodeMoved && verb != agentapi.VerbApply {
			told.Code = 1
		}
		return true, told
	case r.err != nil:
		return true, r.err
	case bytes.Count(r.last.Result, []byte(",")) > maxParts:
		return true, fmt.Errorf("%s: %w", r.link.Host, errTooMuch)
	}
	if err = json.Unmarshal(r.last.Result, resp); err != nil {
		err = fmt.Errorf("%s: the answer of salvord can't be read: %w", r.link.Host, err)
	} else {
		err = check(r.link.Host, req, resp, time.Now())
	}
	if at := reflect.ValueOf(resp); err != nil && at.Kind() == reflect.Pointer && !at.IsNil() {
		at.Elem().SetZero() // json continues after a wrong type: the rest is unchecked
	}
	return true, err
}
