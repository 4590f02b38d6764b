package terminal

import (
	"io"
	"os"
	"sync"
	"unicode/utf8"

	"golang.org/x/term"
)

// A Writer makes everything that is written to it Visible. It is safe for
// concurrent use.
type Writer struct {
	under io.Writer

	mu   sync.Mutex // guards what follows
	part []byte     // the beginning of a character whose end was not written yet
}

// New returns a Writer to w. A Writer is returned as it is.
func New(w io.Writer) *Writer {
	if t, is := w.(*Writer); is {
		return t
	}
	return &Writer{under: w}
}

// Write implements io.Writer.
func (t *Writer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := append(t.part, p...)
	whole := len(text) - unfinished(text)
	t.part = append([]byte(nil), text[whole:]...)
	if _, err := io.WriteString(t.under, Visible(string(text[:whole]))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// unfinished returns how many bytes at the end of text begin a character.
func unfinished(text []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(text); n++ {
		if tail := text[len(text)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

// Flush writes what is left: a character that was never finished.
func (t *Writer) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	// nothing is left to do for one who can't be written to
	_, _ = io.WriteString(t.under, Visible(string(t.part)))
	t.part = nil
}

// pass writes to w what is visible already, and may be coloured.
func pass(w io.Writer, text string) error {
	if t, is := w.(*Writer); is {
		t.Flush()
		t.mu.Lock()
		defer t.mu.Unlock()
		w = t.under
	}
	_, err := io.WriteString(w, text)
	return err
}

// Under returns what w writes to: w itself for one that is not a Writer. It is for
// what draws with sequences of its own, and for programs that the operator runs.
func Under(w io.Writer) io.Writer {
	if t, is := w.(*Writer); is {
		return t.under
	}
	return w
}

// Raw is where bytes go that are a result as they are, like a secret or a log: a
// pipe or a file gets them so, a terminal gets them Visible.
func Raw(w io.Writer) io.Writer {
	if Is(w) {
		return New(w)
	}
	return Under(w)
}

// Is reports whether w is a terminal.
func Is(w io.Writer) bool {
	file, is := Under(w).(*os.File)
	return is && term.IsTerminal(int(file.Fd()))
}

// Stderr is standard error, for what has no other way to be said.
func Stderr() *Writer { return New(os.Stderr) }
