package checkout

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
)

// fill exports the fleet's files.
func (c *Checkout) fill(ctx context.Context) ([]git.LeftOut, error) {
	switch c.Files {
	case WorkTree:
		return c.Git.ExportWork(ctx, c.Export)
	case Staged:
		return c.Git.ExportStaged(ctx, c.Export)
	}
	return c.Git.Export(ctx, c.Commit, c.Export)
}

// leftOut are the findings about what Git has and no host gets.
func (c *Checkout) leftOut(left []git.LeftOut) []finding.Finding {
	var all []finding.Finding
	for _, l := range left {
		f := finding.Finding{Code: finding.NotInGit, Severity: finding.Warning, Subject: l.Path, Text: l.Path + " " + l.Why, Fix: l.Fix}
		if st, is := c.Fleet.Stack(c.Named(stackOf(l.Path))); is {
			f.Severity, f.Stack = finding.Fatal, st.Name
		}
		all = append(all, f)
	}
	return all
}

// stackOf returns the folder below stacks/ that a path of the repository is in.
func stackOf(repoPath string) string {
	if parts := strings.Split(repoPath, "/"); len(parts) > 2 && parts[0] == fleet.StackDir {
		return parts[1]
	}
	return ""
}

var pointer = []byte("version https://git-lfs.github.com/spec/")

// noticeElsewhere reports the stacks' files of which Git has only a pointer (Git LFS).
func (c *Checkout) noticeElsewhere(ctx context.Context) error {
	var below []string
	err := fs.WalkDir(os.DirFS(c.Export), fleet.StackDir, func(p string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.Type().IsRegular() {
			below = append(below, p)
		}
		return err
	})
	if err != nil {
		return err
	}
	filtered, err := c.Git.Filtered(ctx, below)
	if err != nil {
		return err
	}
	for _, p := range below {
		if slices.Contains(filtered, p) || c.isPointer(p) {
			c.Noticed = append(c.Noticed, finding.Finding{Code: finding.NotInGit, Severity: finding.Warning, Subject: p,
				Text: p + " is stored with Git LFS: Git only has a pointer to it, so the host would get the pointer", Fix: "git lfs untrack " + path.Base(p) + ", " +
					"then commit the file itself"})
		}
	}
	return nil
}

func (c *Checkout) isPointer(p string) bool {
	f, err := os.Open(filepath.Join(c.Export, filepath.FromSlash(p)))
	if err != nil {
		return false
	}
	defer f.Close() // only read from
	head := make([]byte, len(pointer))
	n, _ := f.Read(head)
	return n == len(pointer) && slices.Equal(head, pointer)
}
