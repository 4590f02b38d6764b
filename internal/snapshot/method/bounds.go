package method

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/fleet"
)

// A container says what it likes. What of it is kept in memory or on disk is
// bounded, and so is the time that it takes.
const (
	MaxAnswer = 16 << 20 // bytes of one query, list or script
	MaxTables = 1 << 20  // of one database

	AskWithin  = 5 * time.Minute // a question that needs no dump
	DumpWithin = 2 * time.Hour   // the dump of one server
	stopWithin = 2 * time.Minute // the orderly end of a server
)

// ErrTooMuch is wrapped by errors that mean: a container says more than any
// server does.
var ErrTooMuch = errors.New("the container's output is too long")

// ErrNoRoom is wrapped by errors that mean: what a container says would fill the
// disk.
var ErrNoRoom = errors.New("not enough disk space")

// TooMuch is ErrTooMuch with the limit that was passed, in bytes.
func TooMuch(limit int64) error { return fmt.Errorf("%w: more than %d MiB", ErrTooMuch, limit>>20) }

// An Answer keeps what a program says, up to MaxAnswer. Write is the only way in:
// a bytes.Buffer that is embedded would be filled past it.
type Answer struct{ kept bytes.Buffer }

// Write implements io.Writer.
func (a *Answer) Write(p []byte) (int, error) {
	if a.kept.Len()+len(p) > MaxAnswer {
		return 0, TooMuch(MaxAnswer)
	}
	return a.kept.Write(p)
}

// String returns what was said.
func (a *Answer) String() string { return a.kept.String() }

// Bytes returns what was said.
func (a *Answer) Bytes() []byte { return a.kept.Bytes() }

// reserve is what a dump leaves free on a disk: 1 GiB, less on a small one.
const reserve = 1 << 30

// looksEvery is how much is written between two looks at the disk.
const looksEvery = 4 << 20

// A DumpFile is written up to a limit, and while the disk keeps its reserve.
type DumpFile struct {
	file   *os.File
	limit  int64
	unseen int64 // written since the last look
}

// CreateDump makes a new file of a dump, of at most limit bytes.
func CreateDump(path string, limit int64) (*DumpFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &DumpFile{file: f, limit: limit, unseen: looksEvery}, nil
}

// Unlimited is the limit of a dump's data: the disk's.
const Unlimited = math.MaxInt64

// Write implements io.Writer.
func (d *DumpFile) Write(p []byte) (int, error) {
	if d.limit -= int64(len(p)); d.limit < 0 {
		return 0, fmt.Errorf("%w: its script is too long", ErrTooMuch)
	}
	if d.unseen += int64(len(p)); d.unseen >= looksEvery {
		if err := d.hasRoom(d.unseen); err != nil {
			return 0, err
		}
		d.unseen = 0
	}
	return d.file.Write(p)
}

func (d *DumpFile) hasRoom(more int64) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(d.file.Fd()), &st); err != nil {
		return err
	}
	block := int64(st.Bsize) //nolint:unconvert // of another type on macOS, which the operator's half is built for
	free, least := int64(st.Bavail)*block, min(reserve, int64(st.Blocks)*block/20)
	if free-more < least {
		return fmt.Errorf("%w: the dump was stopped, since it would leave less than %d MiB", ErrNoRoom, least>>20)
	}
	return nil
}

// Close implements io.Closer.
func (d *DumpFile) Close() error { return d.file.Close() }

// ReadFile reads a file of a dump's folder: a regular one of at most MaxAnswer, so
// that a snapshot can't have another file of the host read for it.
func ReadFile(dump, name string) ([]byte, error) {
	f, err := OpenFile(dump, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, MaxAnswer+1))
	if err == nil && len(content) > MaxAnswer {
		err = fmt.Errorf("%s: %w", name, TooMuch(MaxAnswer))
	}
	return content, err
}

// ReadManifest reads the manifest of a dump, which is JSON, and refuses one of a newer
// schema; schema is the field of the manifest that has it.
func ReadManifest(dump, name string, manifest any, schema *int) error {
	content, err := ReadFile(dump, name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, manifest); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if *schema > fleet.Schema {
		return fmt.Errorf("%s has schema %d, this salvord reads %d: use a newer one", name, *schema, fleet.Schema)
	}
	return nil
}

// OpenFile opens a regular file of a dump's folder.
func OpenFile(dump, name string) (*os.File, error) {
	root, err := os.OpenRoot(dump)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	if err != nil {
		return nil, err
	}
	return root.Open(name)
}
