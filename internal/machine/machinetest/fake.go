package machinetest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"salvor/internal/machine"
)

// A Fake is a machine in memory for tests that need many hosts or broken ones:
// files, programs and sockets that the test supplies, a record of every call,
// and faults. It is safe for concurrent use. Folders exist as soon as a file in
// them does. For the programs that prepare a Debian host, see debiantest.
type Fake struct {
	mu       sync.Mutex // guards everything
	files    map[string]File
	programs []program
	sockets  map[string]func(net.Conn)
	calls    []Call
	delay    time.Duration
	cut      chan struct{} // closed while nothing gets through
	closed   chan struct{}
}

// A File is a file of a Fake.
type File struct {
	Content []byte
	Mode    fs.FileMode
}

// A Call is one use of a Fake.
type Call struct {
	Method string   // "Run", "ReadFile", "WriteFile" or "Dial"
	Argv   []string // Run's program; else the path, or network and address
}

// A Process is a running Program's side of a command.
type Process struct {
	machine.Cmd // Stdin, Stdout and Stderr are never nil
}

// A Program replaces a real one and returns its exit code. It ends when ctx does.
type Program func(ctx context.Context, p Process) int

type program struct {
	prefix []string
	run    Program
}

var _ machine.Machine = (*Fake)(nil)

// NewFake returns a machine without files, programs and sockets.
func NewFake() *Fake {
	return &Fake{files: map[string]File{}, sockets: map[string]func(net.Conn){}, cut: make(chan struct{}), closed: make(chan struct{})}
}

// Handle has commands that begin with prefix run p. The longest prefix counts,
// of equal ones the last; what nothing handles ends with exit code 127.
func (f *Fake) Handle(p Program, prefix ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.programs = append(f.programs, program{prefix, p})
}

// Say has commands that begin with prefix print text and end with code.
func (f *Fake) Say(code int, text string, prefix ...string) {
	f.Handle(func(_ context.Context, p Process) int {
		to := p.Stdout
		if code != 0 {
			to = p.Stderr
		}
		if _, err := io.WriteString(to, text); err != nil {
			return 1
		}
		return code
	}, prefix...)
}

// Serve has connections to a socket end in serve, which closes its side.
func (f *Fake) Serve(network, addr string, serve func(net.Conn)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sockets[network+" "+addr] = serve
}

// SetDelay makes every call take at least d.
func (f *Fake) SetDelay(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay = d
}

// Cut loses the connection: calls under way and later ones fail with
// machine.ErrUnreachable until Mend.
func (f *Fake) Cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !isClosed(f.cut) {
		close(f.cut)
	}
}

// Mend ends Cut.
func (f *Fake) Mend() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = make(chan struct{})
}

// Calls returns every call so far, in the order they began.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

// Files returns a copy of the files by path.
func (f *Fake) Files() map[string]File {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make(map[string]File, len(f.files))
	for name, file := range f.files {
		all[name] = File{bytes.Clone(file.Content), file.Mode}
	}
	return all
}

// begin records a call and returns a context that ends with ctx, the connection
// and the machine.
func (f *Fake) begin(ctx context.Context, method string, argv ...string) (context.Context, context.CancelFunc, error) {
	f.mu.Lock()
	f.calls = append(f.calls, Call{method, slices.Clone(argv)})
	delay, cut := f.delay, f.cut
	f.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-cut:
			cancel(fmt.Errorf("%w: connection cut", machine.ErrUnreachable))
		case <-f.closed:
			cancel(net.ErrClosed)
		case <-ctx.Done():
		}
	}()
	end := func() { cancel(nil) }
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select { // what is over already must not depend on who is scheduled first
	case <-f.closed:
		return ctx, end, net.ErrClosed
	case <-cut:
		return ctx, end, fmt.Errorf("%w: connection cut", machine.ErrUnreachable)
	case <-ctx.Done():
		return ctx, end, context.Cause(ctx)
	default:
	}
	select {
	case <-timer.C:
		return ctx, end, nil
	case <-ctx.Done():
		return ctx, end, context.Cause(ctx)
	}
}

// Run implements machine.Machine.
func (f *Fake) Run(ctx context.Context, c machine.Cmd) (machine.Output, error) {
	if err := c.Check(); err != nil {
		return machine.Output{}, err
	}
	ctx, cancel := c.WithTimeout(ctx)
	defer cancel()
	ctx, end, err := f.begin(ctx, "Run", c.Argv...)
	defer end()
	if err != nil {
		return machine.Output{}, fmt.Errorf("%s: %w", c.Argv[0], err)
	}
	stdout, stderr := machine.NewCollector(c.Stdout), machine.NewTail(c.Stderr)
	code := f.lookUp(c.Argv)(ctx, Process{machine.Cmd{
		Argv: c.Argv, Env: c.Env, Dir: c.Dir, TTY: c.TTY, Timeout: c.Timeout,
		Stdin: cmp.Or[io.Reader](c.Stdin, strings.NewReader("")), Stdout: stdout, Stderr: stderr,
	}})
	out := machine.Output{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	switch {
	case ctx.Err() != nil:
		return out, fmt.Errorf("%s: %w", c.Argv[0], context.Cause(ctx))
	case code != 0:
		return out, &machine.ExitError{Argv: c.Argv, Code: code, Stderr: out.Stderr}
	}
	return out, nil
}

func (f *Fake) lookUp(argv []string) Program {
	f.mu.Lock()
	defer f.mu.Unlock()
	best := program{run: func(_ context.Context, p Process) int {
		fmt.Fprintf(p.Stderr, "%s: not found", strings.Join(p.Argv, " "))
		return 127
	}}
	for _, p := range f.programs {
		if len(p.prefix) >= len(best.prefix) && len(argv) >= len(p.prefix) && slices.Equal(argv[:len(p.prefix)], p.prefix) {
			best = p
		}
	}
	return best.run
}

// ReadFile implements machine.Machine.
func (f *Fake) ReadFile(ctx context.Context, name string) ([]byte, error) {
	_, end, err := f.begin(ctx, "ReadFile", name)
	defer end()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	file, ok := f.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return bytes.Clone(file.Content), nil
}

// WriteFile implements machine.Machine.
func (f *Fake) WriteFile(ctx context.Context, name string, content io.Reader, mode fs.FileMode) error {
	ctx, end, err := f.begin(ctx, "WriteFile", name)
	defer end()
	if err != nil {
		return err
	}
	all, err := io.ReadAll(content)
	if err = errors.Join(err, context.Cause(ctx)); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.files[name] = File{all, mode.Perm()}
	return nil
}

// Dial implements machine.Machine.
func (f *Fake) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	_, end, err := f.begin(ctx, "Dial", network, addr)
	defer end()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	serve := f.sockets[network+" "+addr]
	f.mu.Unlock()
	if serve == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: fmt.Errorf("%s: connection refused", addr)}
	}
	near, far := net.Pipe()
	go serve(far)
	return near, nil
}

// Close implements machine.Machine.
func (f *Fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !isClosed(f.closed) {
		close(f.closed)
	}
	return nil
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
