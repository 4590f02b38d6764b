package demo

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"salvor/internal/lab/world"
)

// screen prints the story: sentences with a stopwatch, commands, what they say.
type screen struct {
	out   *os.File
	color bool
	began time.Time
}

func newScreen(out *os.File) screen {
	return screen{out: out, color: term.IsTerminal(int(out.Fd())) && os.Getenv("NO_COLOR") == "", began: time.Now()}
}

const (
	bold  = "1"
	faint = "2"
	red   = "1;31"
	green = "1;32"
	cyan  = "1;36"
)

func (s screen) paint(style, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// print writes to a terminal or pipe whose loss ends the program by its signal.
func (s screen) print(format string, args ...any) { fmt.Fprintf(s.out, format, args...) }

func (s screen) stopwatch() string {
	d := time.Since(s.began)
	return fmt.Sprintf("%2d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

func (s screen) title(text string) { s.print("\n%s\n", s.paint(bold, text)) }

// say prints sentences next to the stopwatch.
func (s screen) say(text string) {
	s.print("\n%s  %s\n", s.paint(faint, s.stopwatch()), strings.ReplaceAll(text, "\n", "\n       "))
}

func (s screen) alarm(text string) {
	s.print("\n%s  %s\n", s.paint(faint, s.stopwatch()), s.paint(red, text))
}

func (s screen) closing(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", "\n       ")
	s.print("\n%s  %s\n", s.paint(faint, s.stopwatch()), s.paint(green, text))
}

// aside prints what is worth a glance.
func (s screen) aside(format string, args ...any) {
	s.print("       %s\n", s.paint(faint, fmt.Sprintf(format, args...)))
}

// salvor shows a command as it is typed, runs it on this terminal, and returns
// what it printed to standard output.
func (s screen) salvor(ctx context.Context, w *world.World, args ...string) (string, error) {
	s.print("\n%s\n", s.paint(cyan, "$ salvor "+typed(args)))
	cmd := w.Command(ctx, args...)
	var result bytes.Buffer
	cmd.Stdin, cmd.Stderr = os.Stdin, s.out
	cmd.Stdout = io.MultiWriter(s.out, &result)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("salvor %s: %w", args[0], err)
	}
	return result.String(), nil
}

// typed quotes arguments as a person would.
func typed(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if strings.ContainsAny(a, " ,()*;") {
			words[i] = "'" + a + "'"
		}
	}
	return strings.Join(words, " ")
}

// grouped prints 12345 as 12,345.
func grouped(n int) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.0f seconds", d.Seconds()) }
