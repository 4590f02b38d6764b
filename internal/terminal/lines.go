package terminal

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/fatih/color"
)

// Lines writes the lines of several sources, one at a time: each behind the name of its
// source, which has a colour of its own where there are colours. It is safe for
// concurrent use.
type Lines struct {
	raw     bool // lines are written as they are
	colored bool

	mu    sync.Mutex // guards what follows
	out   io.Writer
	names []string // as they came
	width int
}

// NewLines returns lines on w. A terminal gets them Visible unless raw is set; what is not
// a terminal gets them as they are, without colours.
func NewLines(w io.Writer, colors, raw bool) *Lines {
	is := Is(w)
	return &Lines{raw: raw || !is, colored: colors && is, out: w}
}

// Write writes a line of a source; a line without a name is of none.
func (l *Lines) Write(name, line string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var prefix string
	if name != "" {
		prefix = l.prefix(Line(name))
	}
	if !l.raw {
		line = Visible(line)
	}
	return passRaw(l.out, prefix+line+"\n")
}

// palette has the colours of names, in turn, as Docker Compose has them.
var palette = []color.Attribute{color.FgCyan, color.FgYellow, color.FgGreen, color.FgMagenta, color.FgBlue,
	color.FgHiCyan, color.FgHiYellow, color.FgHiGreen, color.FgHiMagenta, color.FgHiBlue}

func (l *Lines) prefix(name string) string {
	at := -1
	for i, known := range l.names {
		if known == name {
			at = i
		}
	}
	if at < 0 {
		l.names, at = append(l.names, name), len(l.names)
		l.width = max(l.width, Width(name))
	}
	text := name + strings.Repeat(" ", l.width-Width(name)) + " | "
	if !l.colored {
		return text
	}
	c := color.New(palette[at%len(palette)])
	c.EnableColor() // whether there are colours is not the library's decision
	return c.Sprint(text)
}

// passRaw writes past what makes things visible.
func passRaw(w io.Writer, text string) error {
	_, err := io.WriteString(Under(w), text)
	return err
}

// From returns what writes the lines of a stream. tell splits a line into the name of its
// source and its text. Close writes a last line that was not ended.
func (l *Lines) From(tell func(line string) (name, text string)) io.WriteCloser {
	return &stream{to: l, tell: tell}
}

type stream struct {
	to   *Lines
	tell func(string) (string, string)
	part []byte
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	n := len(p)
	for {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		s.part = append(s.part, line...)
		if !ended {
			return n, nil
		}
		if err := s.flush(); err != nil {
			return 0, err
		}
		p = rest
	}
}

func (s *stream) flush() error {
	name, text := s.tell(strings.TrimSuffix(string(s.part), "\r"))
	s.part = s.part[:0]
	return s.to.Write(name, text)
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if len(s.part) == 0 {
		return nil
	}
	return s.flush()
}
