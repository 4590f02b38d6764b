package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	pathpkg "path"
	"path/filepath"
	"slices"
	"strings"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/runlock"
)

// A commitment is one call of CommitFiles.
type commitment struct {
	g      *Repository
	ref    string            // the branch, in full
	parent Commit            // "" when the branch is unborn
	own    string            // Salvor's folder in Git's
	lock   *runlock.Lock     // of this clone
	index  string            // a temporary index, so that staged work of the operator is not touched
	files  map[string][]byte // nil content removes
	runs   []string          // of files, those that are executable if they are new
	paths  []string          // the keys of files, sorted
	before map[string]blob   // in parent
	after  map[string]blob   // to be; missing where removed
}

// A blob is a file as a tree holds it.
type blob struct{ mode, id string }

// CommitFiles commits exactly these files (path in the repository to content,
// nil content removes the file) on top of HEAD and returns the new commit; HEAD
// itself when nothing differs. Other work, staged or not, is left as it is. A file keeps
// its mode; those named executable are, if they are new.
//
// A file that has uncommitted changes of someone else is refused with ErrUncommitted,
// before anything is written. The branch is moved last, and only from the commit that
// was looked at: ErrDiverged otherwise. Interrupted, it can be called again, with
// other contents too: what the first call left is taken back. One process at a time
// commits in a clone; *runlock.HeldError.
func (g *Repository) CommitFiles(ctx context.Context, files map[string][]byte, message string, executable ...string) (_ Commit, err error) {
	c := &commitment{g: g, files: files, runs: executable, paths: slices.Sorted(maps.Keys(files))}
	if err := c.begin(ctx); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	if err := c.stage(ctx); err != nil {
		return "", fmt.Errorf("stage files: %w", err)
	}
	if err := c.checkUntouched(ctx); err != nil {
		return "", err
	}
	tree, same, err := c.tree(ctx)
	if err != nil || same {
		return c.parent, err
	}
	id, err := c.write(ctx, tree, message)
	if err != nil {
		return "", err
	}
	if err := c.announce(id); err != nil {
		return "", err
	}
	if err := c.refresh(ctx, c.index, c.after); err != nil {
		return "", fmt.Errorf("update working tree: %w", err)
	}
	if err := c.move(ctx, id); err != nil {
		return "", errors.Join(err, c.restore(context.WithoutCancel(ctx)))
	}
	return id, os.Remove(c.unfinished())
}

// begin locks the clone, takes back what a killed run left, finds the branch and
// fills the temporary index from its commit.
func (c *commitment) begin(ctx context.Context) error {
	for _, p := range c.paths {
		if err := fleet.ValidPath(p); err != nil {
			return err
		}
	}
	if err := c.lockClone(); err != nil {
		return err
	}
	if err := c.look(ctx); err != nil {
		return errors.Join(err, c.end())
	}
	return nil
}

func (c *commitment) look(ctx context.Context) error {
	work := filepath.Join(c.own, "work")
	if err := os.RemoveAll(work); err != nil {
		return err
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	c.index = filepath.Join(work, "index")
	branch, err := c.g.Branch(ctx)
	if err != nil {
		return err
	}
	c.ref = "refs/heads/" + branch
	c.parent, err = c.g.Head(ctx)
	if err != nil && !errors.Is(err, ErrUnborn) {
		return err
	}
	if err := c.takeBack(ctx); err != nil {
		return err
	}
	return c.readParent(ctx)
}

// zero is the id of nothing, as long as this repository's ids are.
func (c *commitment) zero() string { return strings.Repeat("0", max(40, len(c.parent))) }

func (c *commitment) end() error {
	defer c.lock.Release()
	return os.RemoveAll(filepath.Join(c.own, "work"))
}

// readParent fills the temporary index with the parent's tree.
func (c *commitment) readParent(ctx context.Context) error {
	tree := "--empty"
	if c.parent != "" {
		tree = string(c.parent)
	}
	if _, err := c.with(ctx, c.index, nil, "read-tree", tree); err != nil {
		return err
	}
	var err error
	c.before, err = c.entries(ctx, c.index)
	return err
}

// entries returns what an index holds of our paths.
func (c *commitment) entries(ctx context.Context, index string) (map[string]blob, error) {
	found := map[string]blob{}
	if len(c.paths) == 0 {
		return found, nil
	}
	out, err := c.with(ctx, index, nil, append([]string{"ls-files", "--stage", "-z", "--"}, c.paths...)...)
	for _, record := range splitZero(out) {
		meta, path, _ := strings.Cut(record, "\t")
		fields := strings.Fields(meta)
		if _, ours := c.files[path]; !ours || len(fields) != 3 {
			return nil, fmt.Errorf("%s is a folder in Git, not a file", pathpkg.Dir(path))
		}
		if fields[2] != "0" {
			return nil, fault.WithHint(fmt.Errorf("%s has an unresolved merge", path), "git status")
		}
		found[path] = blob{fields[0], fields[1]}
	}
	return found, err
}

// stage writes the contents to Git's store and into the temporary index.
func (c *commitment) stage(ctx context.Context) error {
	c.after = map[string]blob{}
	for _, p := range c.paths {
		if c.files[p] == nil {
			continue
		}
		old, known := c.before[p]
		if known && old.mode != "100644" && old.mode != "100755" {
			return fmt.Errorf("%s is not a regular file in Git", p)
		}
		id, err := c.with(ctx, c.index, c.files[p], "hash-object", "-w", "--stdin", "--path="+p)
		if err != nil {
			return err
		}
		mode := "100644"
		switch {
		case known:
			mode = old.mode
		case slices.Contains(c.runs, p):
			mode = "100755"
		}
		c.after[p] = blob{mode, strings.TrimSpace(id)}
	}
	return c.setEntries(ctx, c.index, c.after)
}

// setEntries makes an index hold want for our paths, and nothing for the paths
// that want lacks.
func (c *commitment) setEntries(ctx context.Context, index string, want map[string]blob) error {
	var info bytes.Buffer
	for _, p := range c.paths {
		b, ok := want[p]
		if !ok {
			b = blob{"0", c.zero()}
		}
		fmt.Fprintf(&info, "%s %s\t%s\x00", b.mode, b.id, p)
	}
	_, err := c.with(ctx, index, info.Bytes(), "update-index", "-z", "--add", "--index-info")
	return err
}

// tree writes the temporary index as a tree and says whether it is the parent's.
func (c *commitment) tree(ctx context.Context) (id string, same bool, err error) {
	out, err := c.with(ctx, c.index, nil, "write-tree")
	if err != nil || c.parent == "" {
		return strings.TrimSpace(out), false, err
	}
	was, err := c.g.line(ctx, "rev-parse", string(c.parent)+"^{tree}")
	return strings.TrimSpace(out), strings.TrimSpace(out) == was, err
}

// write makes the commit. It is on no branch yet.
func (c *commitment) write(ctx context.Context, tree, message string) (Commit, error) {
	args := []string{"commit-tree", tree, "-F", "-"}
	if c.parent != "" {
		args = append(args, "-p", string(c.parent))
	}
	if c.g.signs(ctx) {
		args = append(args, "-S")
	}
	id, err := c.with(ctx, c.index, []byte(message), args...)
	if isNobody(err) {
		return "", errNobody()
	} else if err != nil && !c.g.signers.Empty() {
		return "", fault.WithHint(fmt.Errorf("sign the commit: %w", err), hintSigning)
	} else if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	made, err := ParseCommit(strings.TrimSpace(id))
	if err != nil {
		return "", err
	}
	return made, c.g.ownSigned(ctx, made)
}

// refresh puts files from the index named source into the working tree, and the same
// entries into the operator's index. It comes before the branch is moved:
// interrupted, it leaves the new files staged, never a new commit with the old files
// staged on top, which the next commit would undo.
func (c *commitment) refresh(ctx context.Context, source string, want map[string]blob) error {
	var list bytes.Buffer
	for _, p := range c.paths {
		if _, keep := want[p]; keep {
			list.WriteString(p + "\x00")
		} else if err := os.Remove(c.file(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if _, err := c.with(ctx, source, list.Bytes(), "checkout-index", "-f", "-q", "-z", "--stdin"); err != nil {
		return err
	}
	return c.setEntries(ctx, "", want)
}

// move moves the branch from the parent to the new commit.
func (c *commitment) move(ctx context.Context, id Commit) error {
	old := string(c.parent)
	if old == "" {
		old = c.zero()
	}
	_, err := c.g.output(ctx, "update-ref", "-m", "salvor: commit", c.ref, string(id), old)
	if err == nil {
		return nil
	}
	if now, headErr := c.g.Head(ctx); headErr == nil && now != c.parent {
		return fmt.Errorf("commit on %s: %w", c.ref, ErrDiverged)
	}
	return fmt.Errorf("move %s: %w", c.ref, err)
}

// restore brings back the files of the commit that the branch is on.
func (c *commitment) restore(ctx context.Context) error {
	if head, err := c.g.Head(ctx); err == nil {
		c.parent = head
	}
	if err := c.readParent(ctx); err != nil {
		return err
	}
	if err := c.refresh(ctx, c.index, c.before); err != nil {
		return err
	}
	return os.Remove(c.unfinished())
}

// with runs git with a temporary index ("" for the operator's own).
func (c *commitment) with(ctx context.Context, index string, stdin []byte, args ...string) (string, error) {
	cmd := c.g.command(args...)
	if index != "" {
		cmd.Env = append(cmd.Env[:len(cmd.Env):len(cmd.Env)], "GIT_INDEX_FILE="+index)
	}
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	return c.g.run(ctx, cmd)
}

func (c *commitment) file(p string) string { return filepath.Join(c.g.dir, filepath.FromSlash(p)) }
