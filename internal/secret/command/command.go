// Package command opens secrets that a program prints: the command line of a
// password manager or a cloud. Operator's side only. The value is the program's
// standard output and goes nowhere else.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"salvor/internal/machine"
	"salvor/internal/secret"
)

// maxValue is more than any key or certificate chain, and less than a mistake.
const maxValue = 1 << 20

// A Program prints one secret.
type Program struct {
	Argv    []string
	Timeout time.Duration
}

// Runner runs programs on the operator's machine, as machine.Machine does.
type Runner interface {
	Run(ctx context.Context, c machine.Cmd) (machine.Output, error)
}

// Options say where programs run.
type Options struct {
	Run     Runner
	Prompts io.Writer // gets what they write to standard error, for programs that ask; nil for no one
	Memory  *Memory   // of what was printed, shared by all that is one run for the operator; nil for a new one

	// Allow is asked before a program runs: anyone who can push to the repository can
	// name one; nil allows none. It returns the folder to run it in. Its error is
	// returned as it is.
	Allow func(name string, argv []string) (dir string, err error)
}

// Memory keeps what programs printed, so that each runs once, and lets one run at
// a time: they may ask the operator. Safe for concurrent use.
type Memory struct {
	turn    chan struct{} // held while a program runs or printed is read
	printed map[string]secret.Value
}

// NewMemory returns an empty memory.
func NewMemory() *Memory {
	return &Memory{turn: make(chan struct{}, 1), printed: map[string]secret.Value{}}
}

// Programs are the secrets of a fleet that programs print. Each program runs when
// its secret is first opened; one that succeeded does not run again. Safe for
// concurrent use.
type Programs struct {
	opts   Options
	byName map[string]Program
}

// New returns the programs by the names of their secrets. Nothing runs yet.
func New(byName map[string]Program, opts Options) *Programs {
	if opts.Memory == nil {
		opts.Memory = NewMemory()
	}
	return &Programs{opts: opts, byName: byName}
}

// Has reports whether a program prints the secret of that name.
func (p *Programs) Has(name string) bool {
	_, has := p.byName[name]
	return has
}

// Same reports whether two secrets are what one program prints.
func (p *Programs) Same(one, other string) bool {
	a, isOne := p.byName[one]
	b, isOther := p.byName[other]
	return isOne && isOther && slices.Equal(a.Argv, b.Argv)
}

// Open returns a secret: the program's standard output less one line end, at
// least one byte and at most 1 MiB. A name without a program wraps
// secret.ErrNotFound; a program that is not there, takes too long or ends with
// another code than 0 wraps secret.ErrLocked, and the error then shows the last
// line of its standard error and nothing else of what it printed.
func (p *Programs) Open(ctx context.Context, name string) (secret.Value, error) {
	program, known := p.byName[name]
	if !known {
		return secret.Value{}, fmt.Errorf("secret %s: %w", name, secret.ErrNotFound)
	}
	m, key := p.opts.Memory, strings.Join(program.Argv, "\x00")
	select {
	case m.turn <- struct{}{}:
		defer func() { <-m.turn }()
	case <-ctx.Done():
		return secret.Value{}, fmt.Errorf("secret %s: %w", name, context.Cause(ctx))
	}
	if value, known := m.printed[key]; known {
		return value, nil
	}
	if p.opts.Allow == nil {
		return secret.Value{}, fmt.Errorf("secret %s: programs are not allowed to run here", name)
	}
	dir, err := p.opts.Allow(name, program.Argv)
	if err != nil {
		return secret.Value{}, err
	}
	value, err := program.Print(ctx, p.opts.Run, p.opts.Prompts, dir)
	if err != nil {
		return secret.Value{}, fmt.Errorf("secret %s: %w", name, err)
	}
	m.printed[key] = value
	return value, nil
}

// Print runs the program in a folder and returns what it prints, as Open does. prompts
// gets what it writes to standard error, nil for no one.
func (p Program) Print(ctx context.Context, run Runner, prompts io.Writer, dir string) (secret.Value, error) {
	stdout := &bounded{}
	out, err := run.Run(ctx, machine.Cmd{Argv: p.Argv, Dir: dir, Stdout: stdout, Stderr: prompts, Timeout: p.Timeout})
	defer clear(stdout.kept)
	name := path.Base(p.Argv[0])
	switch {
	case errors.Is(err, errTooLong):
		return secret.Value{}, fmt.Errorf("%s: %w", name, errTooLong)
	case err != nil:
		return secret.Value{}, explain(ctx, name, p, out, err)
	}
	value := bytes.TrimSuffix(bytes.TrimSuffix(stdout.kept, []byte("\n")), []byte("\r"))
	switch {
	case len(value) == 0:
		return secret.Value{}, fmt.Errorf("%s printed nothing", name)
	case len(value) > maxValue:
		return secret.Value{}, fmt.Errorf("%s: %w", name, errTooLong)
	}
	return secret.New(value), nil
}

var errTooLong = errors.New("it printed more than 1 MiB")

// bounded keeps what is written to it, up to the longest value and its line end.
type bounded struct{ kept []byte }

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.kept)+len(p) > maxValue+len("\r\n") {
		return 0, errTooLong
	}
	b.kept = append(b.kept, p...)
	return len(p), nil
}
