package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// A paused stack is recorded in Run/paused/<stack>.json before it is paused,
// and a guardian process waits on a pipe from the one that pauses: whichever
// way that one ends, the stack goes on.
type pausedRecord struct {
	Schema int           `json:"schema"`
	Stack  string        `json:"stack"`
	Since  time.Time     `json:"since"`
	Limit  time.Duration `json:"limit"`
}

const (
	guardReady = "ready\n"
	guardDone  = "done\n"
	// grace is how long after the limit the guardian waits for the process
	// that paused, which may be frozen instead of dead.
	grace = 5 * time.Second
	// unpauseWithin bounds one attempt to resume a stack.
	unpauseWithin = time.Minute
)

func pausedPath(d Dirs, stack string) string { return filepath.Join(d.Run, "paused", stack+".json") }

// Guard is the guardian's life: it says that it is ready, waits for its standard
// input to end, and resumes the stack unless it was told that this is done. It
// outlives whoever started it and ignores the signals that end a session.
func Guard(ctx context.Context, d Dirs, stack string, q Quiescer, stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("outlive the parent: %w", err)
	}
	r, err := readPaused(pausedPath(d, stack))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stdout, guardReady); err != nil {
		return err
	}
	said := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(stdin) // an error is an end like any other
		said <- string(all)
	}()
	frozen := time.NewTimer(r.Limit + grace)
	defer frozen.Stop()
	select {
	case s := <-said:
		if s == guardDone {
			return nil
		}
	case <-frozen.C:
	}
	return resume(ctx, d, stack, q)
}

func readPaused(path string) (pausedRecord, error) {
	var r pausedRecord
	content, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// resume unpauses a stack and forgets that it was paused.
func resume(ctx context.Context, d Dirs, stack string, q Quiescer) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpauseWithin)
	defer cancel()
	if err := q.Unpause(ctx); err != nil {
		return fmt.Errorf("resume stack %s: %w", stack, err)
	}
	if err := os.Remove(pausedPath(d, stack)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// ResumeAll resumes every stack that a process which is gone has left paused.
// It is called when salvord starts and when its unit has stopped; while nothing
// is paused it does nothing.
func ResumeAll(ctx context.Context, d Dirs, quiescer func(stack string) (Quiescer, error)) error {
	paths, err := filepath.Glob(filepath.Join(d.Run, "paused", "*.json"))
	if err != nil {
		return err
	}
	var errs error
	for _, path := range paths {
		stack := strings.TrimSuffix(filepath.Base(path), ".json")
		q, err := quiescer(stack)
		if err == nil {
			err = resume(ctx, d, stack, q)
		}
		errs = errors.Join(errs, err)
	}
	return errs
}

// A guardian is a running Guard.
type guardian struct {
	pipe  *io.PipeWriter
	ended chan error
}

func (e Engine) guard(ctx context.Context, stack string, limit time.Duration) (*guardian, error) {
	path := pausedPath(e.Dirs, stack)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	record, err := json.Marshal(pausedRecord{fleet.Schema, stack, time.Now().UTC(), limit})
	if err != nil {
		return nil, err
	}
	if err := atomicfile.Write(path, bytes.NewReader(record), 0o600); err != nil {
		return nil, err
	}
	in, pipe := io.Pipe()
	ready := &awaited{want: guardReady, seen: make(chan struct{})}
	g := &guardian{pipe: pipe, ended: make(chan error, 1)}
	cmd := machine.Cmd{Argv: append(append([]string{}, e.Guardian...), stack), Stdin: in, Stdout: ready}
	go func() {
		_, err := e.Host.Run(context.WithoutCancel(ctx), cmd)
		g.ended <- errors.Join(err, in.Close())
	}()
	select {
	case <-ready.seen:
		return g, nil
	case err := <-g.ended:
		return nil, fmt.Errorf("start the guardian: %w", errors.Join(err, pipe.Close()))
	}
}

// dismiss ends the guardian; the stack runs again.
func (g *guardian) dismiss() error {
	_, err := io.WriteString(g.pipe, guardDone)
	return errors.Join(err, g.pipe.Close(), <-g.ended)
}

// awaited closes seen once want has been written.
type awaited struct {
	want string
	got  string
	once sync.Once
	seen chan struct{}
}

// Write implements io.Writer.
func (a *awaited) Write(p []byte) (int, error) {
	if len(a.got) < len(a.want) {
		a.got += string(p)
	}
	if strings.HasPrefix(a.got, a.want) {
		a.once.Do(func() { close(a.seen) })
	}
	return len(p), nil
}
