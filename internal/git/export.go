package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	pathpkg "path"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
)

// maxLink bounds the target of a symbolic link, which is a path.
const maxLink = 4096

// maxFile bounds a file of a commit: what a stack gets from Git is read into memory.
const maxFile = 100 << 20

// A leaf is one file of a commit.
type leaf struct {
	blob
	path string
}

// A LeftOut is a path that Git has and an export has not: a submodule, or a
// symbolic link that leads out of the repository.
type LeftOut struct {
	Path string
	Why  string
	Fix  string
}

// Export writes the files of a commit into dir, an empty folder that belongs to
// the caller: the bytes that Git holds, without the conversions and omissions
// that .gitattributes could ask for, so that everybody who applies a commit
// applies the same. Modes are 0644 and 0755; symbolic links are kept. It returns
// what it left out, in the order of the paths.
func (g *Repository) Export(ctx context.Context, c Commit, dir string) ([]LeftOut, error) {
	out, err := g.output(ctx, "ls-tree", "-r", "-z", "--full-tree", string(c))
	if err != nil {
		return nil, fmt.Errorf("list commit %s: %w", c.Short(), err)
	}
	left, err := g.export(ctx, out, dir)
	if err != nil {
		return nil, fmt.Errorf("export commit %s: %w", c.Short(), err)
	}
	return left, nil
}

// export writes the blobs of a listing of `git ls-tree` or `git ls-files --stage`.
func (g *Repository) export(ctx context.Context, listing, dir string) ([]LeftOut, error) {
	leaves, left, err := parseLeaves(listing)
	if err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // what is written is closed on its own
	if err := checkEmpty(root); err != nil {
		return nil, err
	}
	if err := g.copyBlobs(ctx, leaves, root); err != nil {
		return nil, err
	}
	return withoutStrayLinks(leaves, left, root)
}

func checkEmpty(root *os.Root) error {
	entries, err := fs.ReadDir(root.FS(), ".")
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("%s is not empty", root.Name())
	}
	return err
}

// parseLeaves reads "<mode> blob <id>\t<path>" as ls-tree prints it, or "<mode> <id>
// <stage>\t<path>" as ls-files does. Of a path that is not merged yet, the first
// stage is taken.
func parseLeaves(listing string) (all []leaf, left []LeftOut, err error) {
	for _, record := range splitZero(listing) {
		meta, path, _ := strings.Cut(record, "\t")
		fields := strings.Fields(meta)
		if len(fields) != 3 {
			return nil, nil, fmt.Errorf("git printed %q", record)
		}
		if err := fleet.ValidPath(path); err != nil {
			return nil, nil, err
		}
		if fields[0] == submoduleMode {
			left = append(left, submodule(path))
			continue
		}
		id := fields[1]
		if id == "blob" {
			id = fields[2]
		}
		if len(all) == 0 || all[len(all)-1].path != path {
			all = append(all, leaf{blob{fields[0], id}, path})
		}
	}
	return all, left, nil
}

const submoduleMode = "160000"

func submodule(path string) LeftOut {
	return LeftOut{Path: path, Why: "is a submodule, which Salvor does not follow: hosts do not get its files", Fix: fmt.Sprintf("git rm --cached %s, remove %s/.git, and commit its files", path, path)}
}

// copyBlobs streams every file out of one git process.
func (g *Repository) copyBlobs(ctx context.Context, leaves []leaf, root *os.Root) error {
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
		if size > maxFile {
			return fault.WithHint(fmt.Errorf("%s: the file has %d MiB, and one in a commit may have %d", l.path, size>>20, maxFile>>20),
				fmt.Sprintf("git rm --cached %s, name it in .gitignore, and commit", l.path))
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
	if l.mode == linkMode {
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

// withoutStrayLinks follows every symbolic link within root and removes those that
// lead out of it, also over another link. One that leads nowhere is kept.
func withoutStrayLinks(leaves []leaf, left []LeftOut, root *os.Root) ([]LeftOut, error) {
	for _, l := range leaves {
		if l.mode != linkMode {
			continue
		}
		target, err := root.Readlink(l.path)
		if err != nil {
			return nil, err
		}
		_, err = root.Stat(l.path)
		inside := !strings.HasPrefix(target, "/") && within(pathpkg.Join(pathpkg.Dir(l.path), target))
		if inside && (err == nil || errors.Is(err, fs.ErrNotExist)) {
			continue
		}
		if err := root.Remove(l.path); err != nil {
			return nil, err
		}
		left = append(left, LeftOut{Path: l.path, Why: "is a symbolic link out of the repository, to " + target + ": hosts do not get it", Fix: "commit " +
			"the file itself instead of the link"})
	}
	slices.SortFunc(left, func(a, b LeftOut) int { return strings.Compare(a.Path, b.Path) })
	return left, nil
}

const linkMode = "120000"

func within(p string) bool { return p != ".." && !strings.HasPrefix(p, "../") }
