package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
)

// ErrExists means that something would have to be overwritten.
var ErrExists = errors.New("exists already")

// A First is the first commit of a repository.
type First struct {
	Files   map[string][]byte // by path in the repository
	Message string
	Signers fleet.Signers // of whom one must sign it, empty for anyone
}

// Init makes dir a Git repository with a first commit: the folder and the repository
// where they are missing, the files and a pre-commit hook. It overwrites nothing:
// ErrExists names what is in the way, and nothing was written then. m and environ are
// as for Open.
func Init(ctx context.Context, m machine.Machine, dir string, first First, environ []string) (*Repository, Commit, error) {
	if err := checkFree(dir, first.Files); err != nil {
		return nil, "", err
	}
	g, err := openOrMake(ctx, m, dir, environ)
	if err != nil {
		return nil, "", err
	}
	hook, err := g.freeHook(ctx)
	if err != nil {
		return nil, "", err
	}
	g.OnlySigned(first.Signers)
	commit, err := g.CommitFiles(ctx, first.Files, first.Message)
	if err != nil {
		return nil, "", err
	}
	return g, commit, writeHook(hook)
}

// checkFree reports every file that is there already.
func checkFree(dir string, files map[string][]byte) error {
	var taken []string
	for _, path := range slices.Sorted(maps.Keys(files)) {
		switch _, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(path))); {
		case err == nil:
			taken = append(taken, path)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if len(taken) > 0 {
		return fault.WithHint(fmt.Errorf("%s: %w: %s", dir, ErrExists, strings.Join(taken, ", ")), "choose an empty folder, or move these away")
	}
	return nil
}

// openOrMake opens the Git repository at dir, after making it where there is none.
func openOrMake(ctx context.Context, m machine.Machine, dir string, environ []string) (*Repository, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	g, err := Open(ctx, m, dir, environ)
	if err == nil || !errors.Is(err, ErrNoGit) {
		return g, err
	}
	if inside, lineErr := (&Repository{reader: reader{m: m, dir: dir, env: gitEnv(environ)}}).line(ctx, "rev-parse", "--show-toplevel"); lineErr == nil && inside != "" {
		return nil, err
	}
	made := &Repository{reader: reader{m: m, dir: dir, env: gitEnv(environ)}}
	if _, err := made.output(ctx, "init", "--quiet", "--initial-branch=main"); err != nil {
		return nil, fmt.Errorf("make Git repository: %w", err)
	}
	return Open(ctx, m, dir, environ)
}
