package restic

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"salvor/internal/snapshot/repository"
)

// restore is `restore ID --target DIR --include PATH…`.
func (r *run) restore(ctx context.Context, args []string) error {
	snapshot, err := r.repo.Snapshot(ctx, args[0])
	if err != nil {
		return err
	}
	if _, err := r.repo.LoadIndex(ctx); err != nil {
		return err
	}
	for _, at := range options(args, "--include") {
		node, err := r.repo.Lookup(ctx, snapshot, at)
		if err != nil {
			return err
		}
		target, ok := r.source(option(args, "--target") + at)
		if !ok {
			return fmt.Errorf("%s is outside what may be written to", at)
		}
		if err := r.write(ctx, target, node); err != nil {
			return fmt.Errorf("ignoring error for %s: %w", at, err)
		}
	}
	return nil
}

func (r *run) write(ctx context.Context, at string, n repository.Node) error {
	if n.Type == "file" {
		content, err := r.repo.File(ctx, n)
		if err != nil {
			return err
		}
		if err := os.WriteFile(at, content, 0o600); err != nil {
			return err
		}
		return finish(at, n)
	}
	if err := os.MkdirAll(at, 0o700); err != nil {
		return err
	}
	nodes, err := r.repo.Tree(ctx, n.Subtree)
	if err != nil {
		return err
	}
	for _, below := range nodes {
		if err := r.write(ctx, filepath.Join(at, below.Name), below); err != nil {
			return err
		}
	}
	return finish(at, n)
}

// finish gives a file or folder what it had next to its content.
func finish(at string, n repository.Node) error {
	if err := os.Lchown(at, int(n.UID), int(n.GID)); err != nil {
		return err
	}
	if err := os.Chmod(at, n.Mode); err != nil {
		return err
	}
	return os.Chtimes(at, n.ModTime, n.ModTime)
}
