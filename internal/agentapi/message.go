package agentapi

import (
	"encoding/json"

	"salvor/internal/progress"
)

// A Message is one line of a salvord verb's standard output. Events come first;
// the last line has Result or Error.
type Message struct {
	Event  *progress.Event `json:"event,omitempty"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// An Error is a failure reported by salvord. Code is the exit code that salvor should
// end with (see docs/reference/exit-codes.md).
type Error struct {
	Code int    `json:"code"`
	Text string `json:"text"`
	Hint string `json:"hint,omitempty"`
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// ExitCode implements fault.Coder.
func (e *Error) ExitCode() int { return e.Code }

// A Request is what a verb reads from standard input. Salvord is the version that salvor
// carries. A salvord that does not speak the protocol of Schema answers with
// CodeOtherProtocol before it does anything.
type Request struct {
	Schema  int             `json:"schema"`
	Salvord string          `json:"salvord"`
	Body    json.RawMessage `json:"body"`
}

// CodeOtherProtocol is the Error.Code of a salvord that does not speak the protocol of the
// request; Text is its version.
const CodeOtherProtocol = 64

// CodeMoved is the Error.Code when a host has changed since the plan of an Apply was
// made. The host did nothing.
const CodeMoved = 65
