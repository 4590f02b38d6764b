// Package leaks looks for plain secrets in what a control repository holds: its working
// tree, its next commit, its history, and the files that are about to be planned.
package leaks

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/finding"
	"salvor/internal/scan"
	"salvor/internal/version"
	"salvor/internal/yamldoc"
)

// Work looks for plain secrets in what a commit of the working tree would
// hold.
func Work(ctx context.Context, c *checkout.Checkout) ([]scan.Leak, error) {
	paths, err := c.Git.WorkFiles(ctx)
	if err != nil {
		return nil, err
	}
	return In(c, c.Root, paths)
}

// Staged looks in what the next commit adds or changes.
func Staged(ctx context.Context, c *checkout.Checkout) ([]scan.Leak, error) {
	paths, err := c.Git.StagedFiles(ctx)
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	objects, err := c.Git.Staged(ctx, paths)
	if err != nil {
		return nil, err
	}
	scanner, err := scan.New()
	if err != nil {
		return nil, err
	}
	var all []scan.Leak
	for i, o := range objects {
		all = append(all, scanner.Scan(paths[i], o.Content)...)
	}
	work, err := c.Git.WorkFiles(ctx)
	return effectOf(c, c.Root, work).counting(all), err
}

// pastBatch is how many contents of the history are held in memory at once.
const pastBatch = 200

// History looks in everything that any branch has ever held. A value that stayed
// where it was through many commits is reported once.
func History(ctx context.Context, c *checkout.Checkout) ([]scan.Leak, error) {
	past, err := c.Git.History(ctx)
	if err != nil {
		return nil, err
	}
	scanner, err := scan.New()
	if err != nil {
		return nil, err
	}
	var all []scan.Leak
	seen, now := map[scan.Leak]bool{}, effectOf(c, c.Root, nil)
	for batch := range slices.Chunk(past, pastBatch) {
		var ids []string
		for _, p := range batch {
			ids = append(ids, p.ID)
		}
		objects, err := c.Git.Objects(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, o := range objects {
			for _, l := range scanner.Scan(batch[i].Path, o.Content) {
				if !seen[l] && !now.excused(l) {
					seen[l] = true
					all = append(all, l)
				}
			}
		}
	}
	return all, nil
}

// Findings are the plain secrets among the files that were loaded, as
// findings that stop a plan. A commit whose files were found clean before is not
// looked at again.
func Findings(ctx context.Context, c *checkout.Checkout) ([]finding.Finding, error) {
	if c.Files == checkout.WorkTree {
		leaks, err := Work(ctx, c)
		return findingsOf(leaks), err
	}
	if c.Files == checkout.Staged {
		paths, err := filesBelow(c.Export)
		if err != nil {
			return nil, err
		}
		leaks, err := In(c, c.Export, paths)
		return findingsOf(leaks), err
	}
	tree, err := c.Git.Tree(ctx, c.Commit)
	if err != nil {
		return nil, err
	}
	clean, err := c.Git.OwnFile("scanned")
	if err != nil {
		return nil, err
	}
	mark := tree + " " + version.String() + "\n"
	if content, err := os.ReadFile(clean); err == nil && string(content) == mark {
		return nil, nil
	}
	paths, err := filesBelow(c.Export)
	if err != nil {
		return nil, err
	}
	leaks, err := In(c, c.Export, paths)
	if err == nil && len(leaks) == 0 {
		err = atomicfile.Write(clean, strings.NewReader(mark), 0o644)
	}
	return findingsOf(leaks), err
}

func findingsOf(leaks []scan.Leak) []finding.Finding {
	var all []finding.Finding
	for _, l := range leaks {
		all = append(all, finding.Finding{
			Code: finding.SecretInClear, Severity: finding.Fatal, Subject: yamldoc.Position{File: l.Path, Line: l.Line, Column: l.Column}.String(),
			Text: l.Text, Fix: fix(l, leaks),
		})
	}
	return all
}

// In looks in files below root for what counts; those that are gone, folders and
// links are skipped.
func In(c *checkout.Checkout, root string, paths []string) ([]scan.Leak, error) {
	scanner, err := scan.New()
	if err != nil {
		return nil, err
	}
	within, err := os.OpenRoot(root)
	if err != nil {
		return nil, err
	}
	defer within.Close() // only read from
	var all []scan.Leak
	for _, p := range paths {
		info, err := within.Lstat(p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return nil, err
		}
		content, err := within.ReadFile(p)
		if err != nil {
			return nil, err
		}
		all = append(all, scanner.Scan(filepath.ToSlash(p), content)...)
	}
	return effectOf(c, root, paths).counting(all), nil
}

func filesBelow(root string) ([]string, error) {
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, p)
		}
		return err
	})
	slices.Sort(paths)
	return paths, err
}
