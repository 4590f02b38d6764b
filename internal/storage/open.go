package storage

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/cache"
	"github.com/rclone/rclone/fs/hash"

	"salvor/internal/fleet"
	"salvor/internal/secret"
)

const (
	connectTimeout = 15 * time.Second
	idleTimeout    = 60 * time.Second
	backendRetries = 3
)

// settings returns ctx with rclone's global settings for this process.
func settings(ctx context.Context) context.Context {
	ctx, ci := fs.AddConfig(ctx)
	ci.ConnectTimeout = fs.Duration(connectTimeout)
	ci.Timeout = fs.Duration(idleTimeout)
	ci.LowLevelRetries = backendRetries
	return ctx
}

// Open returns the folder at a location. It checks the declarations first and
// creates nothing; a folder that does not exist is empty and comes into being
// with the first Put. Whether Open itself reaches the remote depends on the
// backend: Test does so always. The caller closes the Folder.
func Open(ctx context.Context, remotes Remotes, where fleet.Location) (*Folder, error) {
	return Computer{}.Open(ctx, remotes, where)
}

// A Computer is what the processes of one user on one computer share.
type Computer struct {
	Tokens Tokens
	Lines  Lines
}

// Open is storage.Open for a process of the computer.
func (c Computer) Open(ctx context.Context, remotes Remotes, where fleet.Location) (*Folder, error) {
	silence()
	if err := remotes.Check(); err != nil {
		return nil, err
	}
	remote, ok := remotes[where.Remote]
	if !ok {
		return nil, fmt.Errorf("no remote %q is declared", where.Remote)
	}
	f := &Folder{
		remote: where.Remote, base: remotes.Base(where.Remote), tokens: c.Tokens, pause: retryPause, patience: patience, staged: remotes.staged(where.Remote),
		secrets: remotes.secretValues(where.Remote),
	}
	f.line = c.Lines.To(f.base)
	base := remotes[f.base]
	f.granted = base.Type == typeDrive && !base.Options["token"].IsZero() && base.Options["service_account_credentials"].IsZero()
	if err := f.connect(ctx, remotes, where); err != nil {
		return nil, f.fail("open", where.Path, err)
	}
	if atTop(remote.Type) {
		f.prefix = cleanRoot(remote.Type, where.Path)
	}
	return f, nil
}

// connect makes f's file system, within f.patience. Backends keep the context that
// they are made with for their whole life, so the caller's may end the opening but
// nothing after it.
func (f *Folder) connect(ctx context.Context, remotes Remotes, where fleet.Location) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.close = cancel
	limited, done := context.WithTimeoutCause(ctx, f.patience, f.unanswered())
	defer done()
	stop := context.AfterFunc(limited, cancel)
	err := f.open(settings(base), remotes, where)
	if !stop() {
		err = context.Cause(limited)
	}
	if err != nil {
		cancel()
	}
	return err
}

func (f *Folder) open(ctx context.Context, remotes Remotes, where fleet.Location) error {
	if atTop(remotes[where.Remote].Type) {
		where.Path = ""
	}
	opened, tops, err := f.tokens.newFs(ctx, remotes, where)
	if errors.Is(err, fs.ErrorIsFile) {
		return errors.New("is a file, not a folder")
	}
	f.fs, f.above = opened, tops
	f.hashes = sync.OnceValue(func() hash.Set { return comparable(opened) })
	return err
}

// atTop reports whether rclone's file system is made at the top of a remote of that
// type, not in the folder that is used: of crypt, because only then rclone asks for the
// remote below by the very name under which it was put into rclone's cache; of drive,
// because each folder on the way must be looked after (folders).
func atTop(kind string) bool { return kind == typeCrypt || kind == typeDrive }

// newFs makes rclone's file system for a location, and returns the folders that are
// above its top.
func (t Tokens) newFs(ctx context.Context, remotes Remotes, where fleet.Location) (fs.Fs, []above, error) {
	remote := remotes[where.Remote]
	backend, err := backendOf(remote.Type)
	if err != nil {
		return nil, nil, err
	}
	config, err := remote.config(backend)
	if err != nil {
		return nil, nil, err
	}
	config.token = t.of(ctx, remote)
	var tops []above
	if remote.Type == typeCrypt {
		var below fs.Fs
		if below, tops, err = t.belowCrypt(ctx, remotes, where.Remote); err != nil {
			return nil, nil, err
		}
		address := fs.ConfigString(below)
		cache.Put(address, below)
		config.Set("remote", address)
	}
	if remote.Type == typeDrive {
		ctx = oneLister(ctx)
		config.Set("stop_on_upload_limit", "true") // else the limit of a day is tried again like one of seconds
	}
	root := cleanRoot(remote.Type, where.Path)
	// rclone's cache goes by name: two fleets' remotes of one name must differ
	opened, err := backend.NewFs(ctx, where.Remote+"-"+rand.Text()[:8], root, config)
	return opened, tops, err
}

// oneLister returns ctx with one worker for the listing of a tree: rclone's Drive lists up
// to 50 folders in one call, and several workers share them out.
func oneLister(ctx context.Context) context.Context {
	ctx, ci := fs.AddConfig(ctx)
	ci.Checkers = 1
	return ctx
}

// belowCrypt makes the file system that a crypt remote is on.
func (t Tokens) belowCrypt(ctx context.Context, remotes Remotes, crypt string) (fs.Fs, []above, error) {
	name, dir, _ := remotes.wrapped(crypt)
	below, tops, err := t.newFs(ctx, remotes, fleet.Location{Remote: name, Path: dir})
	if err != nil || !below.Features().DuplicateFiles {
		return below, tops, err
	}
	if dir = cleanRoot(remotes[name].Type, dir); dir == "" {
		return below, tops, nil
	}
	top, _, err := t.newFs(ctx, remotes, fleet.Location{Remote: name})
	return below, append(tops, above{top, dir}), err
}

// staged reports whether uploads to a remote are visible before they are
// complete, so that they have to go under another name first. rclone says so
// itself for some backends; plain WebDAV servers keep what a cut upload left.
func (r Remotes) staged(name string) bool {
	kind := r[r.Base(name)].Type
	return kind == typeLocal || kind == typeSFTP || kind == typeWebDAV
}

// secretValues returns the option values that no message may show, of a remote and
// those it wraps.
func (r Remotes) secretValues(name string) []secret.Value {
	var words []secret.Value
	for {
		backend, err := backendOf(r[name].Type)
		if err != nil {
			return words
		}
		for option, value := range r[name].Options {
			if o := backend.Options.Get(option); o != nil && (o.IsPassword || o.Sensitive && !identifies(option)) {
				words = append(words, value)
			}
		}
		if r[name].Type != typeCrypt {
			return words
		}
		name, _, _ = r.wrapped(name)
	}
}

// identifies reports whether an option says who or where, which rclone calls
// sensitive but no error can do without: such a word may be part of any path.
func identifies(option string) bool {
	switch option {
	case "user", "username", "account", "host", "url", "endpoint", "root_folder_id", "team_drive", "drive_id", "tenant", "project_number":
		return true
	}
	return false
}
