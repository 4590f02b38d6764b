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
)

const (
	typeCrypt  = "crypt"
	typeLocal  = "local"
	typeSFTP   = "sftp"
	typeWebDAV = "webdav"
)

// A Remote is an rclone backend type and its options by rclone's names, with
// passwords in clear. Type crypt wraps the remote named in its option "remote",
// written name:path.
type Remote struct {
	Type    string
	Options map[string]secret.Value
}

// Remotes are the declared remotes by name.
type Remotes map[string]Remote

// Check reports the first remote that can't be used as it is declared: an
// unknown type or option, with the nearest name that exists; an sftp server
// whose host key is not pinned; a crypt remote around nothing. It uses no
// network and never shows an option's value.
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
	backend, err := backendOf(remote.Type)
	if err != nil {
		return err
	}
	for _, option := range slices.Sorted(maps.Keys(remote.Options)) {
		if backend.Options.Get(option) == nil {
			return fmt.Errorf("%s has no option %q%s", remote.Type, option, suggestion(option, optionNames(backend)))
		}
	}
	switch remote.Type {
	case typeSFTP:
		return checkSFTP(remote)
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
	return nil, fmt.Errorf("unknown type %q%s", kind, suggestion(kind, known))
}

func optionNames(backend *fs.RegInfo) []string {
	var names []string
	for i := range backend.Options {
		names = append(names, backend.Options[i].Name)
	}
	return names
}

// checkSFTP insists on a pinned host key: rclone's default is to trust whoever
// answers. Trust on first use and an external ssh program would get around it.
func checkSFTP(remote Remote) error {
	for _, option := range []string{"pin_host_key", "ssh", "ask_password"} {
		if _, ok := remote.Options[option]; ok {
			return fmt.Errorf("option %q is not supported", option)
		}
	}
	known := string(remote.Options["known_hosts_file"].Reveal())
	if remote.Options["host_keys"].IsZero() && (known == "" || strings.EqualFold(known, "none")) {
		return fmt.Errorf(`%w: set host_keys: "ssh-ed25519 AAAA…"`, ErrHostKey)
	}
	return nil
}

func (r Remotes) checkCrypt(name string) error {
	seen := map[string]bool{name: true}
	for r[name].Type == typeCrypt {
		inner, _, _ := r.wrapped(name)
		if _, ok := r[inner]; !ok {
			return fmt.Errorf("option \"remote\" names no declared remote%s", suggestion(inner, slices.Collect(maps.Keys(r))))
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

// config returns the options in the form rclone wants: passwords obscured, a
// PEM key on one line.
func (r Remote) config(backend *fs.RegInfo) (*options, error) {
	values := map[string]string{}
	for name, value := range r.Options {
		text := string(value.Reveal())
		switch {
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
