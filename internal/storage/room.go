package storage

import (
	"context"
	"fmt"

	"github.com/rclone/rclone/fs"

	"salvor/internal/terminal"
)

// A Room is how much fits on a remote, in bytes; nil for what it does not say.
type Room struct {
	Used  *int64 // of all that is there, not of Salvor's part alone
	Free  *int64
	Total *int64 // the quota
	Trash *int64 // of what was deleted and still counts
}

// Room asks the remote how much fits on it. Many can't say: the Room is empty then.
func (f *Folder) Room(ctx context.Context) (Room, error) {
	about := f.fs.Features().About
	if about == nil {
		return Room{}, nil
	}
	var usage *fs.Usage
	err := f.ask(ctx, func(ctx context.Context) (err error) {
		usage, err = about(ctx)
		return err
	})
	if err != nil {
		return Room{}, Explain(f.fail("ask for the room", f.prefix, err), false)
	}
	return Room{Used: usage.Used, Free: usage.Free, Total: usage.Total, Trash: usage.Trashed}, nil
}

// A fullError says that an object does not fit. It wraps ErrFull.
type fullError struct {
	needed int64
	free   *int64 // nil where the remote does not say
	err    error
}

// Error says what is needed and what is free.
func (e *fullError) Error() string {
	text := fmt.Sprintf("%v: %s are needed", ErrFull, terminal.Bytes(e.needed))
	if e.free != nil {
		text += ", " + terminal.Bytes(max(*e.free, 0)) + " are free"
	}
	return text
}

// Unwrap returns ErrFull and how the remote said it.
func (e *fullError) Unwrap() []error { return []error{ErrFull, e.err} }

// full explains that an object of some size does not fit.
func (f *Folder) full(ctx context.Context, size int64, err error) error {
	room, _ := f.Room(ctx) // which is only said in addition
	return &fullError{size, room.Free, err}
}
