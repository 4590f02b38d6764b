// Package render prints what operations report: progress for a terminal, as
// plain lines or as JSON lines, and the numbers in receipts.
package render

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"salvor/internal/progress"
	"salvor/internal/terminal"
)

// A Progress is a sink that prints.
type Progress interface {
	progress.Sink
	// Suspend runs ask with the terminal to itself: nothing is drawn until it
	// returns, and steps that end meanwhile are printed then. Several questions
	// are asked one after the other; ask must not call Suspend.
	Suspend(ask func())
	// Close takes what is drawn off the terminal, for what is printed next. It
	// may be called twice; a later event draws again.
	Close()
}

// Mode says how progress is printed.
type Mode int

// The modes.
const (
	Quiet Mode = iota
	Plain
	JSON
	TTY
)

// Size returns the columns and lines of the terminal as it is now.
type Size func() (columns, lines int)

// trifle is how long a step takes at most that is not worth a line.
const trifle = 100 * time.Millisecond

// silent reports whether people are spared the event: nothing was done, or it
// took no time and there is nothing to say about it.
func silent(e progress.Event, began time.Time) bool {
	return e.State == progress.Skipped ||
		e.State == progress.Done && e.Text == "" && !began.IsZero() && e.Time.Sub(began) < trifle
}

// NewProgress returns the printer for mode, writing to w.
func NewProgress(w io.Writer, mode Mode, size Size, color bool) Progress {
	switch mode {
	case Quiet:
		return &quiet{}
	case JSON:
		return &jsonLines{w: w}
	case TTY:
		return newLive(w, size, color)
	default:
		return &plain{w: w, began: map[key]time.Time{}}
	}
}

type key struct{ host, stack, step string }

func keyOf(e progress.Event) key { return key{e.Host, e.Stack, e.Step} }

func (k key) subject() string {
	return strings.Join(nonEmpty(k.host, k.stack), " ")
}

func nonEmpty(words ...string) []string {
	var kept []string
	for _, w := range words {
		if w != "" {
			kept = append(kept, w)
		}
	}
	return kept
}

type quiet struct{}

func (*quiet) Emit(progress.Event) {}
func (*quiet) Suspend(ask func())  { ask() }
func (*quiet) Close()              {}

type jsonLines struct {
	mu sync.Mutex
	w  io.Writer
}

// Emit writes the event as one line; a closed pipe is noticed by the result
// that follows, so the error is not kept.
func (j *jsonLines) Emit(e progress.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	_ = terminal.JSON(j.w, e, "")
}

// Suspend implements Progress.
func (*jsonLines) Suspend(ask func()) { ask() }

// Close implements Progress.
func (*jsonLines) Close() {}

type plain struct {
	mu    sync.Mutex // guards everything that follows
	w     io.Writer
	began map[key]time.Time
}

// Emit prints one line for each step that ends, and for notes.
func (p *plain) Emit(e progress.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	e = visible(e)
	k := keyOf(e)
	switch e.State {
	case progress.Started:
		p.began[k] = e.Time
		return
	case progress.Running:
		return
	}
	if !silent(e, p.began[k]) {
		terminal.Printf(p.w, "%s\n", terminal.Text(line(e, p.began[k])))
	}
	delete(p.began, k)
}

// Suspend implements Progress.
func (*plain) Suspend(ask func()) { ask() }

// Close implements Progress.
func (*plain) Close() {}

// visible is the event with what a host says in it made visible.
func visible(e progress.Event) progress.Event {
	e.Host, e.Stack, e.Step = terminal.Line(e.Host), terminal.Line(e.Stack), terminal.Line(e.Step)
	if e.State == progress.Failed || e.State == progress.Note {
		e.Text = terminal.Paragraph(e.Text)
	} else {
		e.Text = terminal.Line(e.Text)
	}
	return e
}

// line renders an event that ends a step: `alpha notes: restore volumes: 12 MB (3.2s)`.
func line(e progress.Event, began time.Time) string {
	parts := nonEmpty(keyOf(e).subject(), e.Step, e.Text)
	text := strings.Join(parts, ": ")
	switch e.State {
	case progress.Failed:
		text = "failed: " + text
	case progress.Note:
		return text
	}
	if !began.IsZero() {
		text += fmt.Sprintf(" (%s)", terminal.Duration(e.Time.Sub(began)))
	}
	return text
}
