package git

import (
	"context"
	"slices"
	"strings"
)

// WorkFiles returns the paths that a commit of everything would hold: tracked
// files and untracked ones that no ignore rule names. Some may be gone.
func (g *reader) WorkFiles(ctx context.Context) ([]string, error) {
	out, err := g.output(ctx, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	paths := splitZero(out)
	slices.Sort(paths)
	return slices.Compact(paths), err
}

// StagedFiles returns the paths that the next commit adds or changes.
func (g *reader) StagedFiles(ctx context.Context) ([]string, error) {
	out, err := g.ofIndex(ctx, "diff", "--cached", "--name-only", "-z", "--no-renames", "--diff-filter=AMT")
	return splitZero(out), err
}

// Staged returns what the next commit has at a path, in the order of paths.
func (g *reader) Staged(ctx context.Context, paths []string) ([]Object, error) {
	listing, err := g.ofIndex(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return nil, err
	}
	leaves, _, err := parseLeaves(listing)
	if err != nil {
		return nil, err
	}
	ids := map[string]string{}
	for _, l := range leaves {
		ids[l.path] = l.id
	}
	names := make([]string, len(paths))
	for i, p := range paths {
		if names[i] = ids[p]; names[i] == "" {
			names[i] = ":" + p // a submodule, which has no content
		}
	}
	return g.Objects(ctx, names)
}

// A Past file is one content that a path has had in some commit.
type Past struct {
	ID   string
	Path string
}

// History returns every content of every path in every branch, each once.
func (g *reader) History(ctx context.Context) ([]Past, error) {
	out, err := g.output(ctx, "rev-list", "--objects", "--all", "--filter=object:type=blob", "--filter-provided-objects")
	if err != nil {
		return nil, err
	}
	var all []Past
	for line := range strings.Lines(out) {
		id, path, named := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if named && path != "" {
			all = append(all, Past{ID: id, Path: path})
		}
	}
	return all, nil
}

// Tree returns the id of what a commit holds: two commits with equal files have
// equal ones.
func (g *reader) Tree(ctx context.Context, c Commit) (string, error) {
	return g.line(ctx, "rev-parse", string(c)+"^{tree}")
}
