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

// Command is what was run, without the settings that every call of git gets.
func (r Ran) Command() []string {
	if len(r.Argv) == 0 || r.Argv[0] != "git" {
		return r.Argv
	}
	rest := r.Argv[1:]
	for len(rest) > 1 && (rest[0] == "-c" || rest[0] == "--no-replace-objects") {
		if rest[0] == "-c" {
			rest = rest[1:]
		}
		rest = rest[1:]
	}
	return append([]string{"git"}, rest...)
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
