package machine

import (
	"context"
	"time"
)

// A Ran is a program that was run, for who wants to watch.
type Ran struct {
	Host string // "" for this computer
	Argv []string
	Took time.Duration
	Err  error
}

type traceKey struct{}

// WithTrace has every program that is run with the context, or one made of it, reported
// when it ends, from the goroutine that ran it.
func WithTrace(ctx context.Context, watch func(Ran)) context.Context {
	return context.WithValue(ctx, traceKey{}, watch)
}

// Trace begins to watch a program; what it returns is called when the program has ended.
func Trace(ctx context.Context, host string, c Cmd) func(err error) {
	watch, watched := ctx.Value(traceKey{}).(func(Ran))
	if !watched {
		return func(error) {}
	}
	began := time.Now()
	return func(err error) { watch(Ran{Host: host, Argv: c.Argv, Took: time.Since(began), Err: err}) }
}
