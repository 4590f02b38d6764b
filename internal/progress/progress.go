// Package progress is the only way operations report what they are doing: they
// emit events, renderers (cli/render) print them.
package progress

import "time"

// State is what an event reports about its step.
type State string

// The states of a step.
const (
	Started State = "started"
	Running State = "running"
	Done    State = "done"
	Skipped State = "skipped"
	Failed  State = "failed"
	Note    State = "note"
)

// An Event is one report about one step. (Host, Stack, Step) identifies the
// step; Started comes first, Done, Skipped or Failed last. Step is a short
// stable verb phrase ("install packages"); Text says more ("docker.io 26.1.5").
// Bytes and Total are zero where they mean nothing.
type Event struct {
	Time  time.Time `json:"time"`
	Host  string    `json:"host,omitempty"`
	Stack string    `json:"stack,omitempty"`
	Step  string    `json:"step"`
	State State     `json:"state"`
	Text  string    `json:"text,omitempty"`
	Bytes int64     `json:"bytes,omitempty"`
	Total int64     `json:"total,omitempty"`
}

// A Sink receives events. Emit is safe for concurrent use and does not block
// for long.
type Sink interface{ Emit(Event) }

// SinkFunc makes a Sink of a function that is safe for concurrent use.
type SinkFunc func(Event)

// Emit calls f.
func (f SinkFunc) Emit(e Event) { f(e) }

// Discard drops every event.
func Discard() Sink { return SinkFunc(func(Event) {}) }

// Scope fills in host and stack of the events of one part of the work.
type Scope struct {
	Sink  Sink
	Host  string
	Stack string
}

// Step reports a step as started and returns the function that ends it: Done for a
// nil error, Failed otherwise, with text in addition.
func (s Scope) Step(step, text string) func(err error, text string) {
	s.emit(step, Started, text)
	return func(err error, text string) {
		if err != nil {
			s.emit(step, Failed, err.Error())
			return
		}
		s.emit(step, Done, text)
	}
}

// Skip reports a step that had nothing to do.
func (s Scope) Skip(step, text string) { s.emit(step, Skipped, text) }

// Note reports something worth reading that is not a step.
func (s Scope) Note(text string) { s.emit("", Note, text) }

// Say reports in words how far a step has come.
func (s Scope) Say(step, text string) { s.emit(step, Running, text) }

// Bytes reports how far a step has come.
func (s Scope) Bytes(step string, done, total int64) {
	s.Sink.Emit(Event{Time: time.Now().UTC(), Host: s.Host, Stack: s.Stack, Step: step, State: Running, Bytes: done, Total: total})
}

func (s Scope) emit(step string, st State, text string) {
	s.Sink.Emit(Event{Time: time.Now().UTC(), Host: s.Host, Stack: s.Stack, Step: step, State: st, Text: text})
}
