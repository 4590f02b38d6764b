package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rclone/rclone/fs"

	"salvor/internal/blob"
	"salvor/internal/fault"
)

// What a probe finds out; the error of Probe wraps one of them where it is known.
var (
	// ErrOtherKey means that an sftp server presents another host key than the pinned
	// ones.
	ErrOtherKey = fault.Kind("the server presents another host key than the pinned one", fault.Unreachable)
	// ErrLogin means that the remote is there, and refuses the login.
	ErrLogin = fault.Kind("the remote refuses the login", fault.Unreachable)
	// ErrGrant is an ErrLogin: what a person once allowed has ended, or was revoked.
	ErrGrant = errors.New("the login has ended or was revoked")
	// ErrFolder means that the top folder of the remote is not there for this login.
	ErrFolder = fault.Kind("the top folder does not exist, or this login does not see it", fault.Unreachable)
	// ErrFull means that there is no room for one more small object.
	ErrFull = errors.New("the remote is full")
	// ErrReadOnly means that the folder can be listed, and not written.
	ErrReadOnly = errors.New("the folder can't be written")
)

// A Took is one step of a probe and how long it took.
type Took struct {
	Step string
	For  time.Duration
}

// A Probe is what was tried in a folder.
type Probe struct {
	Steps []Took // that succeeded, in order: reach, write, read, list, delete
	Left  string // the object that could not be deleted again, "" for none
	Kept  error  // why not
}

// probeText is what the object of a probe holds.
const probeText = "Written by `salvor remote test`, which could not delete it. It is not needed.\n"

// Probe lists the folder, writes a small object under a name of its own, reads it,
// finds it in a listing and deletes it. A deletion that is refused is not an error: an
// append-only folder does that.
func (f *Folder) Probe(ctx context.Context) (Probe, error) {
	name := "salvor-probe-" + strings.ToLower(rand.Text()[:10])
	var p Probe
	for _, step := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"reach", f.Test},
		{"write", func(ctx context.Context) error { return f.writeProbe(ctx, name) }},
		{"read", func(ctx context.Context) error { return f.readProbe(ctx, name) }},
		{"list", func(ctx context.Context) error { return f.findProbe(ctx, name) }},
		{"delete", func(ctx context.Context) error {
			if err := f.Delete(ctx, name); ctx.Err() != nil || errors.Is(err, ErrUnreachable) {
				return err
			} else if err != nil {
				p.Left, p.Kept = name, err
			}
			return nil
		}},
	} {
		began := time.Now()
		if err := step.do(ctx); err != nil {
			return p, Explain(err, len(p.Steps) > 0)
		}
		if p.Kept == nil {
			p.Steps = append(p.Steps, Took{step.name, time.Since(began)})
		}
	}
	return p, nil
}

func (f *Folder) writeProbe(ctx context.Context, name string) error {
	_, err := f.Put(ctx, name, strings.NewReader(probeText), int64(len(probeText)))
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrFull) && f.noRoom(ctx) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// noRoom asks the remote whether there is room for less than a small object. Few can
// say; sftp does, whose servers call a full disk just a failure.
func (f *Folder) noRoom(ctx context.Context) bool {
	about := f.fs.Features().About
	if about == nil {
		return false
	}
	usage, err := about(settings(ctx))
	return err == nil && usage.Free != nil && *usage.Free < int64(len(probeText))
}

func (f *Folder) readProbe(ctx context.Context, name string) error {
	body, err := f.Get(ctx, name, 0, -1)
	if err != nil {
		return err
	}
	content, err := io.ReadAll(io.LimitReader(body, 1<<20))
	err = errors.Join(err, body.Close())
	if err == nil && !bytes.Equal(content, []byte(probeText)) {
		err = f.fail("read", name, ErrCorrupt)
	}
	return err
}

// findProbe looks for the object in a listing of the folder alone, which may hold
// thousands of objects below.
func (f *Folder) findProbe(ctx context.Context, name string) error {
	found := false
	err := f.ask(ctx, func(ctx context.Context) error {
		entries, err := f.fs.List(ctx, f.prefix)
		found = slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return path.Base(e.Remote()) == name })
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("what was just written is not listed: %w", blob.ErrNotExist)
	}
	return f.fail("list", "", err)
}

var fullSign = regexp.MustCompile(`\b507\b|insufficient.storage|no space left|disk quota exceeded|quota(limit)?(exceeded|reached)|insufficient_space`)

// signs are how servers and backends say what is wrong.
var signs = []struct {
	err  error
	text *regexp.Regexp
}{
	{ErrOtherKey, regexp.MustCompile(`host key mismatch|no key is pinned for this algorithm`)},
	{ErrFolder, regexp.MustCompile(`error 404: (file|shared drive) not found`)},
	{ErrGrant, regexp.MustCompile(`^$`)}, // fail knows it
	{ErrLogin, regexp.MustCompile(`unable to authenticate|\b401\b|unauthorized|invalid_(grant|client)|invalidaccesskeyid|signaturedoesnotmatch|(expired|invalid)_access_token`)},
	{ErrFull, fullSign},
	{ErrReadOnly, regexp.MustCompile(`permission.denied|\b403\b|forbidden|access.?denied|\b405\b|read-only file system|insufficient.?permissions`)},
}

// Explain adds to the error of a remote what it means, where that is known. What was
// refused before anything was listed is refused to the login.
func Explain(err error, listed bool) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	for _, sign := range signs {
		if !errors.Is(err, sign.err) && !sign.text.MatchString(strings.ToLower(err.Error())) {
			continue
		}
		meaning := sign.err
		if errors.Is(meaning, ErrReadOnly) && !listed {
			meaning = ErrLogin
		}
		if errors.Is(err, meaning) {
			return err
		}
		return &failure{text: meaning.Error() + ": " + err.Error(), causes: []error{meaning, err}, denied: deniedIn(err)}
	}
	return err
}

func deniedIn(err error) *Denied {
	var d *Denied
	errors.As(err, &d)
	return d
}
