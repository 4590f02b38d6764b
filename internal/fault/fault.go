// Package fault adds to errors what a person needs: one line, a hint with the next
// command, and the exit code that scripts branch on.
package fault

import (
	"errors"
	"io/fs"
)

// Exit codes, documented in docs/reference/exit-codes.md.
const (
	OK          = 0
	General     = 1
	Usage       = 2
	Partial     = 3
	NoRepo      = 10
	Locked      = 11
	SecretsShut = 12
	Unreachable = 13
	Pending     = 20
	Drill       = 30
	Interrupted = 130
)

// Row documents one exit code.
type Row struct {
	Code    int
	Meaning string
}

// Table returns every exit code with its meaning, by number.
func Table() []Row {
	return []Row{
		{OK, "done; with `plan --check`: nothing to change"},
		{General, "an error without its own code; see the message"},
		{Usage, "the command line is wrong, or a confirmation is needed but there is no terminal"},
		{Partial, "partly done: a host or a stack is missing; see the receipt"},
		{NoRepo, "no control repository here"},
		{Locked, "another run is at work; the message says whose, since when, and what it does"},
		{SecretsShut, "secrets can't be unlocked"},
		{Unreachable, "a host or a remote can't be reached, or presents a key other than the pinned one"},
		{Pending, "changes are pending (`plan --check`)"},
		{Drill, "a drill did not restore everything"},
		{Interrupted, "interrupted; running the command again finishes it"},
	}
}

type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }

// WithHint adds the next command to an error. The text of the error stays one
// line; the hint is printed below it. A nil error stays nil.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hinted{error: err, hint: hint}
}

// Hint returns the outermost hint of err, or "".
func Hint(err error) string {
	var h *hinted
	if errors.As(err, &h) {
		return h.hint
	}
	return ""
}

type coded struct {
	error
	code int
}

func (c *coded) Unwrap() error { return c.error }

// WithCode sets the exit code that err ends the program with.
func WithCode(err error, code int) error {
	if err == nil {
		return nil
	}
	return &coded{error: err, code: code}
}

// A Coder is an error that has an exit code by its kind. WithCode wins over it.
type Coder interface {
	error
	ExitCode() int // 0 for none
}

type kind struct {
	text string
	code int
}

func (k *kind) Error() string { return k.text }
func (k *kind) ExitCode() int { return k.code }

// Kind returns an error to compare with (errors.Is), which ends the program with code.
func Kind(text string, code int) error { return &kind{text, code} }

// ErrInterrupted means that a person has ended a question with Ctrl-C.
var ErrInterrupted = Kind("interrupted", Interrupted)

// Code returns the exit code of err: the outermost that WithCode set, else that of
// the first Coder in it. It is the only place that says which error ends the program
// with which code; ok is false where none is set.
func Code(err error) (code int, ok bool) {
	var set *coded
	if errors.As(err, &set) {
		return set.code, true
	}
	var c Coder
	if errors.As(err, &c) {
		return c.ExitCode(), c.ExitCode() > 0
	}
	return 0, false
}

// WithoutPath returns an error of a file operation without the path, which the caller
// knows by another name; any other error as it is.
func WithoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
