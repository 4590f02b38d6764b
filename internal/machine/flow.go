package machine

import (
	"io"
	"sync/atomic"
	"time"
)

// A Flow copies one output stream of a program and knows whether it waits for more,
// so that a daemon which keeps the stream open is distinguished from a slow reader.
type Flow struct {
	waiting atomic.Int64 // since when a read waits, in Unix nanoseconds; 0 while a write does
	done    chan struct{}
}

// Copy starts to copy src to dst until src ends. An error of dst goes to failed,
// once; what still comes is then dropped, so that the program is not blocked.
func Copy(dst io.Writer, src io.Reader, failed func(error)) *Flow {
	f := &Flow{done: make(chan struct{})}
	f.waiting.Store(time.Now().UnixNano())
	go f.copy(dst, src, failed)
	return f
}

func (f *Flow) copy(dst io.Writer, src io.Reader, failed func(error)) {
	defer close(f.done)
	buf := make([]byte, 32<<10)
	for {
		f.waiting.Store(time.Now().UnixNano())
		n, err := src.Read(buf)
		f.waiting.Store(0)
		if n > 0 {
			if _, writeErr := dst.Write(buf[:n]); writeErr != nil {
				failed(writeErr)
				dst = io.Discard
			}
		}
		if err != nil {
			return
		}
	}
}

// Drain waits, once the program has ended, until all of the stream was written.
// It reports false when the stream stays open and nothing came for quiet.
func (f *Flow) Drain(quiet time.Duration) bool {
	start := time.Now().UnixNano()
	tick := time.NewTicker(quiet / 8)
	defer tick.Stop()
	for {
		select {
		case <-f.done:
			return true
		case <-tick.C:
		}
		since := f.waiting.Load()
		if since != 0 && time.Since(time.Unix(0, max(since, start))) > quiet {
			return false
		}
	}
}
