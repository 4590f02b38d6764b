package storage

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/rclone/rclone/fs"
	"github.com/rclone/rclone/fs/config/obscure"

	"salvor/internal/secret"
	"salvor/internal/suggest"
)

const (
	typeCrypt  = "crypt"
	typeDrive  = "drive"
	typeLocal  = "local"
	typeSFTP   = "sftp"
	typeWebDAV = "webdav"
)

// A Remote is an rclone backend type and its options by rclone's names, with
// unencrypted passwords. Type crypt wraps the remote named in its option "remote",
// written name:path.
type Remote struct {
	Type    string
	Options map[string]secret.Value
}

// Remotes are the declared remotes by name.
type Remotes map[string]Remote

// Check reports the first remote that can't be used as it is declared: an
// unknown type; an option that it may not have, as an OptionError with the nearest
// name; credentials over plain http; an sftp server whose host key is not pinned; a
// crypt remote around nothing. It uses no network and never shows a secret.
func (r Remotes) Check() error {
	for _, name := range slices.Sorted(maps.Keys(r)) {
		if err := r.CheckOne(name); err != nil {
			return fmt.Errorf("remote %s: %w", name, err)
		}
	}
	return nil
}

// ErrHostKey is wrapped by the error of an sftp remote whose server's key is not
// pinned.
var ErrHostKey = errors.New("the server's host key is not pinned")

// CheckOne is Check for one remote.
func (r Remotes) CheckOne(name string) error {
	remote := r[name]
	if _, err := backendOf(remote.Type); err != nil {
		return err
	}
	if err := checkOptions(remote); err != nil {
		return err
	}
	if err := checkURLs(remote); err != nil {
		return err
	}
	switch remote.Type {
	case typeSFTP:
		return checkSFTP(remote)
	case typeDrive:
		return checkDrive(remote)
	case typeCrypt:
		return r.checkCrypt(name)
	}
	return nil
}

func backendOf(kind string) (*fs.RegInfo, error) {
	var known []string
	for _, info := range fs.Registry {
		if info.Name == kind {
			return info, nil
		}
		known = append(known, info.Name)
	}
	return nil, fmt.Errorf("unknown type %q%s", kind, suggest.DidYouMean(kind, known))
}

// checkSFTP insists on a pinned host key, since rclone's default is to trust any
// server, and on a login of its own: without one rclone takes the keys of the SSH
// agent.
func checkSFTP(remote Remote) error {
	if remote.Options["host_keys"].IsZero() {
		return fmt.Errorf(`%w: set host_keys: "ssh-ed25519 AAAA…"`, ErrHostKey)
	}
	if remote.Options["pass"].IsZero() && remote.Options["key_pem"].IsZero() {
		return errors.New("it has neither pass nor key_pem: set one to secret:NAME")
	}
	return nil
}

func (r Remotes) checkCrypt(name string) error {
	seen := map[string]bool{name: true}
	for r[name].Type == typeCrypt {
		inner, _, _ := r.wrapped(name)
		if _, ok := r[inner]; !ok {
			return fmt.Errorf("option \"remote\" does not name a declared remote%s", suggest.DidYouMean(inner, slices.Collect(maps.Keys(r))))
		}
		if seen[inner] {
			return fmt.Errorf("wraps itself")
		}
		seen[inner] = true
		name = inner
	}
	return nil
}

// wrapped splits a crypt remote's option "remote" into name and path.
func (r Remotes) wrapped(name string) (inner, dir string, ok bool) {
	return strings.Cut(string(r[name].Options["remote"].Reveal()), ":")
}

// Base returns the name of the remote that a crypt remote is on in the end; of any
// other it is its own.
func (r Remotes) Base(name string) string {
	for r[name].Type == typeCrypt {
		name, _, _ = r.wrapped(name)
	}
	return name
}

// webdavPause is the least time between two requests to a WebDAV server: rclone's own
// choice, 10 ms, is longer than one takes that is nearby, and one that is too busy says so.
const webdavPause = "1ms"

// config returns the options in the form rclone wants: passwords obscured, a
// PEM key on one line.
func (r Remote) config(backend *fs.RegInfo) (*options, error) {
	values := map[string]string{}
	switch {
	case r.Type == typeWebDAV:
		values["pacer_min_sleep"] = webdavPause
	case r.Type == typeDrive && r.Options["team_drive"].IsZero():
		values["use_trash"] = "false" // what is there for 30 more days counts for the quota; of a shared drive only its managers delete otherwise
	}
	for name, value := range r.Options {
		text := string(value.Reveal())
		switch {
		case name == PlainHTTP:
			continue
		case backend.Options.Get(name).IsPassword:
			obscured, err := obscure.Obscure(text)
			if err != nil {
				return nil, fmt.Errorf("option %s: %w", name, err)
			}
			text = obscured
		case name == "key_pem":
			text = strings.ReplaceAll(strings.TrimSpace(text)+"\n", "\n", `\n`)
		}
		values[name] = text
	}
	return &options{declared: backend.Options, values: values}, nil
}

// cleanRoot returns the folder that a location names on a backend. On a local one
// paths count from /, since fleet.yaml has none that begin with it.
func cleanRoot(kind, dir string) string {
	switch {
	case kind == typeLocal:
		return path.Clean("/" + dir)
	case kind == typeSFTP && path.IsAbs(dir):
		return path.Clean(dir)
	}
	return strings.TrimPrefix(path.Clean("/"+dir), "/")
}
