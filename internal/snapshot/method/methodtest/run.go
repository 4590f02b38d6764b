// Package methodtest runs programs as a container's engine does at its worst.
package methodtest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"sync/atomic"
)

// Run runs a program that stands for one in a container. An end of stdin that comes before the program has written
// anything does not reach it: containerd loses one that comes while it starts the program, and leaves the program
// waiting. p has no Stdin and no Stdout yet.
func Run(p *exec.Cmd, stdin io.Reader, stdout io.Writer) error {
	if stdout == nil {
		stdout = io.Discard
	}
	out := &begun{Writer: stdout}
	p.Stdout = out
	if stdin == nil {
		return p.Run()
	}
	in, feed, err := os.Pipe()
	if err != nil {
		return err
	}
	p.Stdin = in
	if err := errors.Join(p.Start(), in.Close()); err != nil {
		return errors.Join(err, feed.Close())
	}
	go func() {
		_, _ = io.Copy(feed, stdin) // the program may end without reading all of it
		if out.wrote.Load() {
			_ = feed.Close()
		}
	}()
	err = p.Wait()
	_ = feed.Close() // unless it is closed already
	return err
}

// begun notes that something was written.
type begun struct {
	io.Writer
	wrote atomic.Bool
}

// Write implements io.Writer.
func (b *begun) Write(p []byte) (int, error) {
	b.wrote.Store(true)
	return b.Writer.Write(p)
}
