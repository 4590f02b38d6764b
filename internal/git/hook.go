package git

import (
	"bytes"
	"context"
	_ "embed" // for the hook
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
)

//go:embed pre-commit
var preCommit []byte

// preCommitHook is the hook of the program that writes it, which the hook starts where
// PATH has no salvor.
func preCommitHook(program string) string {
	quoted := "'" + strings.ReplaceAll(program, "'", `'\''`) + "'"
	return strings.ReplaceAll(string(preCommit), "@SALVOR@", quoted)
}

// hookRuns is what a pre-commit hook runs for the fleet's secrets to be guarded.
const hookRuns = "salvor scan --staged && exec salvor check --staged"

// A Hook is the pre-commit hook that Git runs in a clone.
type Hook struct {
	Path  string // absolute
	Moved bool   // core.hooksPath leads there: the hooks are the operator's own
	Calls bool   // it calls salvor, or a hook manager of the repository does
}

// Install is the command that makes the hook, for who has none there.
func (h Hook) Install() string {
	if h.Moved {
		return "call there: " + hookRuns
	}
	return fmt.Sprintf(`printf '#!/bin/sh\n%s\n' >'%s' && chmod +x '%s'`, hookRuns, h.Path, h.Path)
}

// PreCommit returns the hook that Git runs before a commit in this clone.
func (g *Repository) PreCommit(ctx context.Context) (Hook, error) {
	moved, err := g.config(ctx, "core.hooksPath")
	if err != nil {
		return Hook{}, err
	}
	path, err := g.line(ctx, "rev-parse", "--git-path", "hooks/pre-commit")
	if err != nil {
		return Hook{}, err
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(g.dir, path)
	}
	h := Hook{Path: path, Moved: moved != ""}
	h.Calls, err = g.callsSalvor(path)
	return h, err
}

// callsSalvor reports whether the hook, or the settings of the usual hook managers in
// the repository, names salvor's check.
func (g *Repository) callsSalvor(hook string) (bool, error) {
	info, err := os.Stat(hook)
	if err != nil || info.Mode().Perm()&0o111 == 0 {
		return false, ignoreMissing(err) // Git skips one that can't be executed
	}
	files := []string{hook}
	for _, name := range []string{".pre-commit-config.yaml", "lefthook.yml", ".husky/pre-commit"} {
		files = append(files, filepath.Join(g.dir, name))
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if ignoreMissing(err) != nil {
			return false, err
		}
		if bytes.Contains(content, []byte("salvor check")) {
			return true, nil
		}
	}
	return false, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// freeHook returns where the pre-commit hook goes. One that is there already is
// in the way; a folder of hooks of the operator's own is left alone ("").
func (g *Repository) freeHook(ctx context.Context) (string, error) {
	h, err := g.PreCommit(ctx)
	if err != nil || h.Moved {
		return "", err
	}
	switch _, err := os.Lstat(h.Path); {
	case err == nil:
		return "", fault.WithHint(fmt.Errorf("%s: %w", h.Path, ErrExists), "move it away, or call salvor check from your own hook")
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	return h.Path, nil
}

func writeHook(path string) error {
	if path == "" {
		return nil
	}
	program, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return atomicfile.Write(path, strings.NewReader(preCommitHook(program)), 0o755)
}

// hookedFile is this clone's note that it was given the hook: one that its operator
// takes away stays away.
const hookedFile = "hooked"

// EnsureHook makes the pre-commit hook in a clone that was never given one, for
// instance by git clone, and reports whether it did. A hook of the operator's own stays
// as it is.
func (g *Repository) EnsureHook(ctx context.Context) (made bool, err error) {
	note, err := g.OwnFile(hookedFile)
	if err != nil {
		return false, err
	}
	if _, err := os.Lstat(note); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	path, err := g.freeHook(ctx)
	if err != nil && !errors.Is(err, ErrExists) {
		return false, err
	}
	if err := writeHook(path); err != nil {
		return false, err
	}
	return path != "", atomicfile.Write(note, bytes.NewReader(nil), 0o600)
}
