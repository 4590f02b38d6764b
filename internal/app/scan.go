package app

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
	"salvor/internal/controlrepo"
	"salvor/internal/finding"
	"salvor/internal/scan"
	"salvor/internal/version"
)

// ScanWork looks for plain secrets in what a commit of the working tree would
// hold.
func (a *App) ScanWork(ctx context.Context) ([]scan.Leak, error) {
	paths, err := a.Checkout.Git.WorkFiles(ctx)
	if err != nil {
		return nil, err
	}
	return scanFiles(a.Checkout.Root, paths)
}

// ScanStaged looks in what the next commit adds or changes.
func (a *App) ScanStaged(ctx context.Context) ([]scan.Leak, error) {
	paths, err := a.Checkout.Git.StagedFiles(ctx)
	if err != nil || len(paths) == 0 {
		return nil, err
	}
	objects, err := a.Checkout.Git.Staged(ctx, paths)
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
	return all, nil
}

// pastBatch is how many contents of the history are held in memory at once.
const pastBatch = 200

// ScanHistory looks in everything that any branch has ever held. A value that stayed
// where it was through many commits is reported once.
func (a *App) ScanHistory(ctx context.Context) ([]scan.Leak, error) {
	past, err := a.Checkout.Git.History(ctx)
	if err != nil {
		return nil, err
	}
	scanner, err := scan.New()
	if err != nil {
		return nil, err
	}
	var all []scan.Leak
	seen := map[scan.Leak]bool{}
	for batch := range slices.Chunk(past, pastBatch) {
		var ids []string
		for _, p := range batch {
			ids = append(ids, p.ID)
		}
		objects, err := a.Checkout.Git.Objects(ctx, ids)
		if err != nil {
			return nil, err
		}
		for i, o := range objects {
			for _, l := range scanner.Scan(batch[i].Path, o.Content) {
				if !seen[l] {
					seen[l] = true
					all = append(all, l)
				}
			}
		}
	}
	return all, nil
}

// LeakFindings are the plain secrets among the files that were loaded, as
// findings that stop a plan. A commit whose files were found clean before is not
// looked at again.
func (a *App) LeakFindings(ctx context.Context) ([]finding.Finding, error) {
	if a.Checkout.Files == checkout.WorkTree {
		leaks, err := a.ScanWork(ctx)
		return findingsOf(leaks), err
	}
	if a.Checkout.Files == checkout.Staged {
		paths, err := filesBelow(a.Checkout.Export)
		if err != nil {
			return nil, err
		}
		leaks, err := scanFiles(a.Checkout.Export, paths)
		return findingsOf(leaks), err
	}
	tree, err := a.Checkout.Git.Tree(ctx, a.Checkout.Commit)
	if err != nil {
		return nil, err
	}
	clean, err := a.Checkout.Git.OwnFile(ctx, "scanned")
	if err != nil {
		return nil, err
	}
	mark := tree + " " + version.String() + "\n"
	if content, err := os.ReadFile(clean); err == nil && string(content) == mark {
		return nil, nil
	}
	paths, err := filesBelow(a.Checkout.Export)
	if err != nil {
		return nil, err
	}
	leaks, err := scanFiles(a.Checkout.Export, paths)
	if err == nil && len(leaks) == 0 {
		err = atomicfile.Write(clean, strings.NewReader(mark), 0o644)
	}
	return findingsOf(leaks), err
}

func findingsOf(leaks []scan.Leak) []finding.Finding {
	var all []finding.Finding
	for _, l := range leaks {
		all = append(all, finding.Finding{
			Code: finding.SecretInClear, Severity: finding.Fatal, Subject: controlrepo.Position{File: l.Path, Line: l.Line, Column: l.Column}.String(),
			Text: l.Text, Fix: "salvor secret set NAME, and change the value where it is used: Git keeps its history",
		})
	}
	return all
}

// scanFiles looks in files below root; those that are gone, folders and links are
// skipped.
func scanFiles(root string, paths []string) ([]scan.Leak, error) {
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
	return all, nil
}

func filesBelow(root string) ([]string, error) {
	var paths []string
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			paths = append(paths, p)
		}
		return err
	})
	return paths, err
}
