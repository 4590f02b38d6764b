package storage

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A direction is one half of a line.
type direction int

const (
	up direction = iota
	down
)

const (
	askAgain  = 20 * time.Second       // how long a timetable is relied on before it is asked for again
	slice     = 250 * time.Millisecond // the most that is taken of a line at once
	farAhead  = time.Minute            // a line that is taken for longer was so before the clock was put back
	slicePace = 2 * time.Millisecond   // how often a line's file that is locked is tried again
)

// Lines are one computer's lines to remotes. All processes that have the same folder share
// them: together they send and receive no more than a remote's timetable allows.
type Lines struct {
	Dir       string                     // in memory, made when needed; "" for a process that shares with none
	Timetable func(remote string) string // as fleet.yaml has it, asked again every 20 seconds; nil limits nothing

	now   func() time.Time // nil for the computer's clock
	until func(context.Context, time.Time) error
}

// To returns the line to a remote that is not of type crypt.
func (l Lines) To(remote string) *Line {
	line := &Line{now: l.now, until: l.until, ask: func() string { return "" }}
	if l.Timetable != nil {
		line.ask = func() string { return l.Timetable(remote) }
	}
	if l.Dir != "" {
		line.file = filepath.Join(l.Dir, remote)
	}
	if line.now == nil {
		line.now, line.until = time.Now, waitUntil
	}
	return line
}

// A Line is the way to a remote, of which it may use a part. Its methods may be called at any
// time.
type Line struct {
	file  string // what the processes share; "" for nothing
	ask   func() string
	now   func() time.Time
	until func(context.Context, time.Time) error

	mu    sync.Mutex // guards what follows
	asked time.Time
	text  string
	table Timetable
	free  [2]time.Time // when each half is free again, as this process knows
}

// Up returns content as it may be sent: reading it takes as long as sending it may. A nil Line
// limits nothing.
func (l *Line) Up(ctx context.Context, content io.Reader) io.Reader {
	if l == nil {
		return content
	}
	return &slowReader{ctx: ctx, line: l, way: up, Reader: content}
}

// Down returns what comes from the remote as it may be received. A nil Line limits nothing.
func (l *Line) Down(ctx context.Context, content io.ReadCloser) io.ReadCloser {
	if l == nil {
		return content
	}
	return struct {
		io.Reader
		io.Closer
	}{&slowReader{ctx: ctx, line: l, way: down, Reader: content}, content}
}

// A slowReader reads no faster than its half of the line allows.
type slowReader struct {
	io.Reader
	ctx  context.Context // of the transfer
	line *Line
	way  direction
}

// Read implements io.Reader.
func (r *slowReader) Read(p []byte) (int, error) {
	rate := r.line.rate(r.way)
	if rate == 0 {
		return r.Reader.Read(p)
	}
	n, err := r.Reader.Read(p[:min(int64(len(p)), max(int64(float64(rate)*slice.Seconds()), 1))])
	if n == 0 {
		return n, err
	}
	if waited := r.line.take(r.ctx, r.way, time.Duration(float64(n)/float64(rate)*float64(time.Second))); waited != nil {
		return 0, waited
	}
	return n, err
}

// rate returns how much may pass now, in bytes a second, 0 for any amount.
func (l *Line) rate(way direction) int64 {
	now := l.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if since := now.Sub(l.asked); since >= askAgain || since < 0 {
		l.asked = now
		if text := l.ask(); text != l.text {
			if table, err := ParseTimetable(text); err == nil { // else the one before: check refuses it
				l.text, l.table = text, table
			}
		}
	}
	return l.table.at(now)[way]
}

// take has the line for a time, once those before are through, and returns when it is over.
func (l *Line) take(ctx context.Context, way direction, long time.Duration) error {
	over, err := l.reserve(ctx, way, long)
	if err != nil {
		return err
	}
	return l.until(ctx, over)
}

func waitUntil(ctx context.Context, t time.Time) error { return wait(ctx, time.Until(t)) }

// reserve notes that the line is taken for a time, and returns until when. A file that can't
// be used hinders no transfer: the process goes by what it knows itself.
func (l *Line) reserve(ctx context.Context, way direction, long time.Duration) (time.Time, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, free := l.now(), l.free
	shared, err := l.open(ctx)
	switch {
	case err == nil:
		defer shared.Close()
		free = readFree(shared)
	case ctx.Err() != nil:
		return time.Time{}, ctx.Err()
	}
	begin := free[way]
	if begin.Before(now) || begin.Sub(now) > farAhead {
		begin = now
	}
	free[way] = begin.Add(long)
	l.free = free
	if shared != nil {
		_ = writeFree(shared, free) // l.free has it
	}
	return free[way], nil
}

// open returns the locked file that the processes share.
func (l *Line) open(ctx context.Context) (*os.File, error) {
	if l.file == "" {
		return nil, errors.ErrUnsupported
	}
	if err := os.MkdirAll(filepath.Dir(l.file), 0o700); err != nil {
		return nil, err
	}
	return flocked(ctx, l.file, slicePace)
}

// flocked opens a file, made where it is missing, that no other process has opened so. It is
// free again when it is closed, and when the process ends.
func flocked(ctx context.Context, path string, pace time.Duration) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		if err := wait(ctx, pace); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
}

// readFree reads when the halves of a line are free; what can't be read is free now.
func readFree(f *os.File) (free [2]time.Time) {
	var raw [2 * 8]byte
	if _, err := f.ReadAt(raw[:], 0); err != nil {
		return free
	}
	for way := range free {
		free[way] = time.Unix(0, int64(binary.LittleEndian.Uint64(raw[way*8:])))
	}
	return free
}

func writeFree(f *os.File, free [2]time.Time) error {
	var raw []byte
	for _, t := range free {
		nanos := int64(0)
		if !t.IsZero() {
			nanos = t.UnixNano()
		}
		raw = binary.LittleEndian.AppendUint64(raw, uint64(nanos))
	}
	_, err := f.WriteAt(raw, 0)
	return err
}
