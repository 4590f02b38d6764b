package controlrepo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	pathpkg "path"
	"strings"
)

// maxLink bounds the target of a symbolic link, which is a path.
const maxLink = 4096

// A leaf is one file of a commit.
type leaf struct {
	blob
	path string
}

// Export writes the files of a commit into dir, an empty folder that belongs to
// the caller: the bytes that Git holds, without the conversions and omissions
// that .gitattributes could ask for, so that everybody who applies a commit
// applies the same. Modes are 0644 and 0755; symbolic links are kept, one that
// leads out of dir is an error, and so is a submodule.
func (g *Git) Export(ctx context.Context, c Commit, dir string) error {
	leaves, err := g.leaves(ctx, c)
	if err != nil {
		return fmt.Errorf("list commit %s: %w", c.Short(), err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close() // what is written is closed on its own
	if err := checkEmpty(root); err != nil {
		return err
	}
	if err := g.copyBlobs(ctx, leaves, root); err != nil {
		return fmt.Errorf("export commit %s: %w", c.Short(), err)
	}
	return checkLinks(leaves, root)
}

func checkEmpty(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", root.Name())
	}
	return err
}

// leaves lists the files of a commit.
func (g *Git) leaves(ctx context.Context, c Commit) ([]leaf, error) {
	out, err := g.output(ctx, "ls-tree", "-r", "-z", "--full-tree", string(c))
	if err != nil {
		return nil, err
	}
	var all []leaf
	for _, record := range splitZero(out) {
		meta, path, _ := strings.Cut(record, "\t")
		fields := strings.Fields(meta)
		if len(fields) != 3 {
			return nil, fmt.Errorf("git printed %q", record)
		}
		if fields[1] != "blob" {
			return nil, fmt.Errorf("%s is a submodule, which Salvor does not follow", path)
		}
		if err := checkRepoPath(path); err != nil {
			return nil, err
		}
		all = append(all, leaf{blob{fields[0], fields[2]}, path})
	}
	return all, nil
}

// copyBlobs streams every file out of one git process.
func (g *Git) copyBlobs(ctx context.Context, leaves []leaf, root *os.Root) error {
	var want strings.Builder
	for _, l := range leaves {
		want.WriteString(l.id + "\n")
	}
	r, w := io.Pipe()
	cmd := g.command("cat-file", "--batch")
	cmd.Stdin, cmd.Stdout = strings.NewReader(want.String()), w
	ran := make(chan error, 1)
	go func() {
		_, err := g.m.Run(ctx, cmd)
		ran <- errors.Join(err, w.CloseWithError(err))
	}()
	err := writeLeaves(bufio.NewReader(r), leaves, root)
	return errors.Join(err, r.CloseWithError(err), <-ran)
}

// writeLeaves reads `<id> <type> <size>`, the bytes and a newline for each
// file, as `git cat-file --batch` prints them.
func writeLeaves(from *bufio.Reader, leaves []leaf, root *os.Root) error {
	for _, l := range leaves {
		head, err := from.ReadString('\n')
		if err != nil {
			return fmt.Errorf("%s: %w", l.path, err)
		}
		var id, kind string
		var size int64
		if _, err := fmt.Sscanf(head, "%s %s %d\n", &id, &kind, &size); err != nil || id != l.id || kind != "blob" {
			return fmt.Errorf("%s: git printed %q", l.path, strings.TrimSpace(head))
		}
		content := &io.LimitedReader{R: from, N: size}
		if err := writeLeaf(content, l, root); err != nil {
			return fmt.Errorf("%s: %w", l.path, err)
		}
		if content.N > 0 {
			return fmt.Errorf("%s: %w", l.path, io.ErrUnexpectedEOF)
		}
		if _, err := from.Discard(1); err != nil {
			return fmt.Errorf("%s: %w", l.path, err)
		}
	}
	return nil
}

func writeLeaf(content *io.LimitedReader, l leaf, root *os.Root) error {
	if err := root.MkdirAll(pathpkg.Dir(l.path), 0o755); err != nil {
		return err
	}
	if l.mode == "120000" {
		if content.N > maxLink {
			return errors.New("the symbolic link is too long")
		}
		target, err := io.ReadAll(content)
		if err != nil {
			return err
		}
		return root.Symlink(string(target), l.path)
	}
	mode := fs.FileMode(0o644)
	if l.mode == "100755" {
		mode = 0o755
	}
	f, err := root.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// checkLinks follows every symbolic link within root, which refuses those that
// lead out of it, also over another link. One that leads nowhere is kept.
func checkLinks(leaves []leaf, root *os.Root) error {
	for _, l := range leaves {
		if l.mode != "120000" {
			continue
		}
		target, err := root.Readlink(l.path)
		if err != nil {
			return err
		}
		if strings.HasPrefix(target, "/") || !within(pathpkg.Join(pathpkg.Dir(l.path), target)) {
			return fmt.Errorf("%s is a symbolic link out of the repository, to %s", l.path, target)
		}
		if _, err := root.Stat(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a symbolic link to %s: %w", l.path, target, err)
		}
	}
	return nil
}

func within(p string) bool { return p != ".." && !strings.HasPrefix(p, "../") }
