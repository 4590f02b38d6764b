package restserver

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A file is one object of a restic repository: its kind and, but for "config",
// its name, which is the SHA-256 of its content in hex.
type file struct{ kind, name string }

const (
	kindConfig   = "config"
	kindData     = "data"
	kindIndex    = "index"
	kindKeys     = "keys"
	kindLocks    = "locks"
	kindSnapshot = "snapshots"
)

var namePattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

// parsePath reads a request's path: "/config", "/data/" or "/data/<name>". The
// name is empty for a listing.
func parsePath(path string) (file, error) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case kind == kindConfig && name == "":
		return file{kindConfig, kindConfig}, nil
	case !slices.Contains([]string{kindData, kindIndex, kindKeys, kindLocks, kindSnapshot}, kind):
		return file{}, fmt.Errorf("%q is not a part of a repository", path)
	case name != "" && !namePattern.MatchString(name):
		return file{}, fmt.Errorf("%q is not an object name", name)
	}
	return file{kind, name}, nil
}

// path is where the object is in the store: restic's default layout, so that any
// restic reads the repository without Salvor.
func (f file) path() string {
	switch f.kind {
	case kindConfig:
		return kindConfig
	case kindData:
		return kindData + "/" + f.name[:2] + "/" + f.name
	}
	return f.kind + "/" + f.name
}

func (f file) String() string {
	if f.kind == "" {
		return "repository"
	}
	return f.path()
}
