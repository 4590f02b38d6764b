package machine

import (
	"bytes"
	"fmt"
	"io"
)

// Limits of what a command's output keeps in memory.
const (
	MaxStdout  = 16 << 20
	StderrTail = 8 << 10
)

// A Collector passes what is written on to a writer, or keeps it when there is
// none, up to MaxStdout; more is an error rather than a silent cut.
type Collector struct {
	to   io.Writer
	kept bytes.Buffer
}

// NewCollector returns a Collector for Cmd.Stdout, which may be nil.
func NewCollector(to io.Writer) *Collector { return &Collector{to: to} }

// Write implements io.Writer.
func (c *Collector) Write(p []byte) (int, error) {
	if c.to != nil {
		return c.to.Write(p)
	}
	if c.kept.Len()+len(p) > MaxStdout {
		return 0, fmt.Errorf("output is larger than %d MiB", MaxStdout>>20)
	}
	return c.kept.Write(p)
}

// Bytes returns what was kept.
func (c *Collector) Bytes() []byte { return c.kept.Bytes() }

// A Tail keeps the last StderrTail bytes written to it and passes everything
// on to a writer, if there is one.
type Tail struct {
	to   io.Writer
	kept []byte
}

// NewTail returns a Tail for Cmd.Stderr, which may be nil.
func NewTail(to io.Writer) *Tail { return &Tail{to: to} }

// Write implements io.Writer.
func (t *Tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if over := len(t.kept) - StderrTail; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	if t.to != nil {
		return t.to.Write(p)
	}
	return len(p), nil
}

// Bytes returns the tail.
func (t *Tail) Bytes() []byte { return t.kept }
