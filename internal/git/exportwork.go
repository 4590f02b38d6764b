package git

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	pathpkg "path"
	"strings"
)

// ExportStaged is Export for the files that the next commit has.
func (g *Repository) ExportStaged(ctx context.Context, dir string) ([]LeftOut, error) {
	out, err := g.ofIndex(ctx, "ls-files", "--stage", "-z")
	if err != nil {
		return nil, err
	}
	return g.export(ctx, out, dir)
}

// ExportWork is Export for the files that a commit of the whole working tree would
// have: tracked ones as they are there, and new ones that no ignore rule names.
func (g *Repository) ExportWork(ctx context.Context, dir string) ([]LeftOut, error) {
	paths, err := g.WorkFiles(ctx)
	if err != nil {
		return nil, err
	}
	from, err := os.OpenRoot(g.dir)
	if err != nil {
		return nil, err
	}
	defer from.Close() // only read from
	to, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer to.Close() // what is written is closed on its own
	var links []leaf
	var left []LeftOut
	for _, p := range paths {
		info, err := from.Lstat(p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, fmt.Errorf("%s: %w", p, err)
		case info.IsDir(): // `git ls-files` names no other folder
			left = append(left, submodule(strings.TrimSuffix(p, "/")))
			continue
		case info.Mode().Type() == fs.ModeSymlink:
			links = append(links, leaf{blob{mode: linkMode}, p})
		}
		if err := copyFile(from, to, p, info); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
	}
	return withoutStrayLinks(links, left, to)
}

func copyFile(from, to *os.Root, p string, info fs.FileInfo) error {
	if err := to.MkdirAll(pathpkg.Dir(p), 0o755); err != nil {
		return err
	}
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		target, err := from.Readlink(p)
		if err != nil {
			return err
		}
		return to.Symlink(target, p)
	case 0:
	default:
		return nil // a socket or a pipe, which Git does not take
	}
	mode := fs.FileMode(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	in, err := from.Open(p)
	if err != nil {
		return err
	}
	defer in.Close() // only read from
	out, err := to.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Chmod(mode), out.Close())
}

// Filtered returns those of the paths, files of the working tree, whose contents Git
// keeps elsewhere (Git LFS), in their order.
func (g *reader) Filtered(ctx context.Context, paths []string) ([]string, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	cmd := g.command("check-attr", "-z", "--stdin", "filter")
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\x00") + "\x00")
	out, err := g.run(ctx, cmd)
	if err != nil {
		return nil, err
	}
	var found []string
	fields := strings.Split(out, "\x00")
	for i := 0; i+2 < len(fields); i += 3 {
		if fields[i+2] == "lfs" {
			found = append(found, fields[i])
		}
	}
	return found, nil
}
