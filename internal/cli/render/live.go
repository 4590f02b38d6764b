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

// maxRunning is far more steps than run at once. A host that says to have begun more
// is not listened to.
const maxRunning = 1000

const frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// live prints finished steps as lines that stay and redraws the running ones
// below them.
type live struct {
	w     io.Writer // past what makes things visible: it draws
	size  Size
	color bool

	questions sync.Mutex // held while one question is on the terminal

	mu      sync.Mutex // guards everything that follows
	running []*step
	drawn   int // lines of the running area on the screen
	frame   int
	asking  bool          // a question has the terminal
	held    []string      // lines that wait for its end
	stop    chan struct{} // ends the redrawing; nil while nothing is drawn
	stopped chan struct{}
}

type step struct {
	key          key
	began        time.Time
	text         string
	bytes, total int64
}

func newLive(w io.Writer, size Size, color bool) *live {
	return &live{w: terminal.Under(w), size: size, color: color}
}

// open begins to redraw, unless that continues already. The caller holds mu.
func (l *live) open() {
	if l.stop == nil {
		l.stop, l.stopped = make(chan struct{}), make(chan struct{})
		go l.tick(l.stop, l.stopped)
	}
}

func (l *live) tick(stop <-chan struct{}, stopped chan<- struct{}) {
	defer close(stopped)
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			l.mu.Lock()
			l.frame++
			l.draw("")
			l.mu.Unlock()
		}
	}
}

// Emit implements progress.Sink.
func (l *live) Emit(e progress.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e = visible(e)
	l.open()
	switch e.State {
	case progress.Started:
		if len(l.running) >= maxRunning {
			return
		}
		l.running = append(l.running, &step{key: keyOf(e), began: e.Time, text: e.Text})
		l.draw("")
	case progress.Running:
		if s := l.find(keyOf(e)); s != nil {
			s.bytes, s.total = e.Bytes, e.Total
		}
	default:
		l.draw(l.finished(e))
	}
}

func (l *live) find(k key) *step {
	for _, s := range l.running {
		if s.key == k {
			return s
		}
	}
	return nil
}

func (l *live) finished(e progress.Event) string {
	var began time.Time
	for i, s := range l.running {
		if s.key == keyOf(e) {
			began = s.began
			l.running = append(l.running[:i], l.running[i+1:]...)
			break
		}
	}
	if silent(e, began) {
		return ""
	}
	switch e.State {
	case progress.Failed:
		// what went wrong is never cut
		return l.paint(terminal.Bad, "✘") + " " + strings.Join(nonEmpty(keyOf(e).subject(), e.Step, e.Text), ": ")
	case progress.Note:
		return "  " + strings.Join(nonEmpty(keyOf(e).subject(), e.Text), ": ")
	}
	took := ""
	if !began.IsZero() {
		took = terminal.Duration(e.Time.Sub(began))
	}
	width, _ := l.size()
	return l.paint(terminal.Good, "✔") + " " + columns(keyOf(e), e.Text, took, width-3)
}

// Suspend implements Progress.
func (l *live) Suspend(ask func()) {
	l.questions.Lock()
	defer l.questions.Unlock()
	l.mu.Lock()
	l.erase()
	l.asking = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asking = false
		for _, line := range l.held {
			l.draw(line)
		}
		l.held = nil
	}()
	ask()
}

// erase takes the running area off the screen.
func (l *live) erase() {
	running := l.running
	l.running = nil
	l.draw("")
	l.running = running
}

// draw erases the running area, prints what stays, and draws the area again.
func (l *live) draw(stays string) {
	if l.asking {
		if stays != "" {
			l.held = append(l.held, stays)
		}
		return
	}
	var b strings.Builder
	if l.drawn > 0 {
		terminal.Printf(&b, "\x1b[%dA\x1b[J", l.drawn)
	}
	if stays != "" {
		b.WriteString(stays + "\n")
	}
	l.drawn = l.area(&b)
	// a terminal that went away ends the program by its signal, not here
	_, _ = io.WriteString(l.w, b.String())
}

// area writes the running steps and returns how many lines it used: never more
// than the terminal has, as what scrolled away can't be erased.
func (l *live) area(b *strings.Builder) int {
	width, height := l.size()
	spinner := []rune(frames)
	mark := l.paint(terminal.Busy, string(spinner[l.frame%len(spinner)]))
	shown := l.running
	if room := max(height-2, 1); len(shown) > room {
		shown = shown[:room-1]
	}
	for _, s := range shown {
		b.WriteString(mark + " " + columns(s.key, s.state(), terminal.Duration(time.Since(s.began)), width-3) + "\n")
	}
	hidden := len(l.running) - len(shown)
	if hidden == 0 {
		return len(shown)
	}
	b.WriteString(mark + " " + terminal.Fit(fmt.Sprintf("and %d more", hidden), width-3) + "\n")
	return len(shown) + 1
}

func (s *step) state() string {
	switch {
	case s.total > 0:
		return fmt.Sprintf("%s of %s", terminal.Bytes(s.bytes), terminal.Bytes(s.total)) + s.left(time.Since(s.began))
	case s.bytes > 0:
		return terminal.Bytes(s.bytes)
	default:
		return s.text
	}
}

// steady is how long a step must have run until its pace says how long it will take.
const steady = 5 * time.Second

// left says how much longer a step of known size takes if its pace stays as it was, in
// the time that it has run.
func (s *step) left(ran time.Duration) string {
	if ran < steady || s.bytes <= 0 || s.bytes >= s.total {
		return ""
	}
	left := time.Duration(float64(ran) * float64(s.total-s.bytes) / float64(s.bytes))
	return ", " + terminal.Rough(left.Round(time.Second)) + " left"
}

func (l *live) paint(style terminal.Style, mark string) string {
	if !l.color {
		return mark
	}
	return terminal.Paint(style, mark).Colored()
}

// Close implements Progress.
func (l *live) Close() {
	l.mu.Lock()
	l.running = nil
	l.draw("")
	stop, stopped := l.stop, l.stopped
	l.stop, l.stopped = nil, nil
	l.mu.Unlock()
	if stop != nil {
		close(stop)
		<-stopped
	}
}

// columns lays out one step in width characters: who, what, its text, the time.
// Where there is little room the text goes first, then the end of the step; the
// time stays.
func columns(k key, text, took string, width int) string {
	line := fmt.Sprintf("%-16s %-24s %s", k.subject(), k.step, text)
	if width < 60 {
		line = strings.Join(nonEmpty(k.subject(), k.step), " ")
	}
	return terminal.Fit(line, max(width-len(took)-1, 0)) + " " + took
}
