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
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/fleet"
	"salvor/internal/hostpath"
	"salvor/internal/machine"
)

// A paused stack is recorded in Run/paused/<stack>.json before it is paused, and a
// guardian process waits on a pipe from the one that pauses: whichever way that one
// ends, the stack continues. The record names the containers that are about to be
// paused, so that those which a person has paused stay as they are. It stays until
// each of them was seen continuing after a pause that went well; else the daemon
// looks again and forgets it.
type pausedRecord struct {
	Schema     int           `json:"schema"`
	Stack      string        `json:"stack"`
	Since      time.Time     `json:"since"`
	Limit      time.Duration `json:"limit"`
	Containers []string      `json:"containers,omitempty"` // ids; none before the pause
}

const (
	guardReady = "ready\n"
	guardDone  = "done\n"
	// grace is how long after the limit the process that paused, which may be
	// frozen instead of dead, is waited for.
	grace = 5 * time.Second
	// guardEvery is how often the guardian looks at the record.
	guardEvery = time.Second
	// unpauseWithin bounds one attempt to resume a stack.
	unpauseWithin = time.Minute
)

// Guard is the guardian's life: it says that it is ready, waits for its standard
// input to end, and resumes the stack unless it got a message that this is done. It
// outlives the process that started it and ignores the signals that end a session.
func Guard(ctx context.Context, d hostpath.Layout, stack string, q Quiescer, stdin io.Reader, stdout io.Writer) error {
	signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGPIPE)
	if err := outliveParent(); err != nil {
		return fmt.Errorf("outlive the parent: %w", err)
	}
	if _, err := readPaused(d, stack); err != nil {
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
	look := time.NewTicker(guardEvery)
	defer look.Stop()
	var last pausedRecord
	var first time.Time // when last was seen first, by a monotonic clock
	for {
		select {
		case s := <-said:
			if s == guardDone {
				return nil
			}
			return resume(ctx, d, stack, q)
		case now := <-look.C:
			r, err := readPaused(d, stack)
			if err != nil || !r.Since.Equal(last.Since) {
				last, first = r, now
			}
			if len(r.Containers) > 0 && now.Sub(first) > r.Limit+grace {
				return resume(ctx, d, stack, q)
			}
		}
	}
}

func readPaused(d hostpath.Layout, stack string) (pausedRecord, error) {
	var r pausedRecord
	path := d.Paused(stack)
	content, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// recordPaused writes which containers are about to be paused.
func recordPaused(d hostpath.Layout, stack string, limit time.Duration, containers []string) error {
	path := d.Paused(stack)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	record, err := json.Marshal(pausedRecord{fleet.Schema, stack, time.Now().UTC(), limit, containers})
	if err != nil {
		return err
	}
	return atomicfile.Write(path, bytes.NewReader(record), 0o600)
}

// resume makes every container continue that is recorded as paused. The record stays.
func resume(ctx context.Context, d hostpath.Layout, stack string, q Quiescer) error {
	r, err := readPaused(d, stack)
	if errors.Is(err, os.ErrNotExist) || err == nil && len(r.Containers) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unpauseWithin)
	defer cancel()
	// a record that can't be read names none, which means all
	if err := q.Unpause(ctx, r.Containers...); err != nil {
		return fmt.Errorf("resume stack %s: %w", stack, err)
	}
	return nil
}

func forget(d hostpath.Layout, stack string) error {
	err := os.Remove(d.Paused(stack))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// Paused is a stack that is recorded as paused by a snapshot.
type Paused struct {
	Stack   string
	Since   time.Time
	Overdue bool // it lasts longer than its limit allows
}

// AllPaused returns the stacks that are recorded as paused, by name.
func AllPaused(d hostpath.Layout) ([]Paused, error) {
	paths, err := filepath.Glob(d.Paused("*"))
	var all []Paused
	for _, path := range paths {
		p := Paused{Stack: strings.TrimSuffix(filepath.Base(path), ".json"), Overdue: true}
		r, err := readPaused(d, p.Stack)
		if errors.Is(err, os.ErrNotExist) {
			continue // just forgotten
		}
		if err == nil {
			p.Since = r.Since
			p.Overdue = len(r.Containers) > 0 && time.Since(r.Since) > r.Limit+2*grace
		}
		all = append(all, p)
	}
	return all, err
}

// HeldBy reports whether a snapshot holds a stack still now: some of its services may be stopped for it.
func HeldBy(d hostpath.Layout, stack string) bool {
	all, err := AllPaused(d)
	return err == nil && slices.ContainsFunc(all, func(p Paused) bool { return p.Stack == stack && !p.Overdue })
}

// Resume makes a stack continue that a snapshot left paused. While a living snapshot
// holds it the record stays, for that snapshot's own end. It may be called when
// nothing is paused.
func Resume(ctx context.Context, d hostpath.Layout, stack string, q Quiescer, held bool) error {
	err := resume(ctx, d, stack, q)
	if err != nil || held {
		return err
	}
	return forget(d, stack)
}

// A guardian is a running Guard.
type guardian struct {
	pipe  *io.PipeWriter
	ended chan error
}

func (e Engine) guard(ctx context.Context, stack string, limit time.Duration) (*guardian, error) {
	if err := recordPaused(e.Dirs, stack, limit, nil); err != nil {
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
