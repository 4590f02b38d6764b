// Package checkout is one commit of a control repository, opened: its files, what
// they declare, and the operator's Git, which the next commit goes to.
package checkout

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/git"
	"salvor/internal/machine/local"
	"salvor/internal/memdir"
	"salvor/internal/version"
)

// Files says which files are the fleet's.
type Files int

// The newest commit's, those that a commit of the whole working tree would have,
// and those that the next commit has.
const (
	Committed Files = iota
	WorkTree
	Staged
)

// A Checkout is one commit, opened for one command. A commit of the command's own moves
// it on: Commit is that one then, while the files and what they declare stay those that
// were opened.
type Checkout struct {
	*controlrepo.Repository // what the files declare

	Files  Files
	Root   string // the operator's working tree
	Export string // the files, in a private folder; Root where nothing is exported
	Git    *git.Repository
	Commit git.Commit
	Rules  Rules // that commits keep to; anyone who opens the checkout sets them

	Noticed []finding.Finding // about files that Git has and no host gets

	pushed bool   // commits of this command are published
	link   string // to Export, at its place before it was moved into memory

	behind     func() (bool, error) // the Git host's answer, nil while it is not asked
	stopAsking func()
}

// Open opens the newest commit of the control repository that dir is in, or what a
// commit would hold, as files says. The commit must be signed as this clone goes by.
// The caller closes it.
func Open(ctx context.Context, dir string, files Files) (*Checkout, error) {
	c, err := OpenFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	return c.open(ctx, files)
}

// OpenWithNews is Open for a caller of AboutClone: the Git host, which takes longest, is
// asked while the files are loaded.
func OpenWithNews(ctx context.Context, dir string, files Files) (*Checkout, error) {
	c, err := OpenFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	c.askBehind(ctx)
	return c.open(ctx, files)
}

func (c *Checkout) open(ctx context.Context, files Files) (_ *Checkout, err error) {
	c.Files = files
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	folder, err := exportFolder(os.TempDir())
	if err != nil {
		return nil, err
	}
	c.Export = folder
	return c, c.load(ctx)
}

// OpenFiles opens the working tree's files as they are, which may be wrong: nothing is
// loaded or checked.
func OpenFiles(ctx context.Context, dir string) (*Checkout, error) {
	root, err := controlrepo.Find(dir)
	if err != nil {
		return nil, fault.WithHint(err, "salvor init DIR")
	}
	git, err := git.Open(ctx, local.Machine{}, root, os.Environ())
	return &Checkout{Root: root, Export: root, Git: git}, err
}

// At opens an earlier commit of the same repository. The caller closes it.
func (c *Checkout) At(ctx context.Context, commit git.Commit) (_ *Checkout, err error) {
	then := &Checkout{Files: Committed, Root: c.Root, Git: c.Git, Commit: commit}
	if then.Export, err = exportFolder(os.TempDir()); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, then.Close())
		}
	}()
	if _, err := c.Git.Export(ctx, commit, then.Export); err != nil {
		return nil, err
	}
	if then.Repository, err = controlrepo.Load(then.Export, ""); err != nil {
		return nil, notLoaded{err}
	}
	return then, nil
}

// ErrNotLoaded is wrapped by errors of At that mean: the commit's files declare no fleet
// that this Salvor can read.
var ErrNotLoaded = errors.New("the commit's files do not load")

type notLoaded struct{ error }

func (e notLoaded) Unwrap() []error { return []error{ErrNotLoaded, e.error} }

// ToMemory moves the exported files into memory, for a command that adds files which may
// have secrets. The folder's old name leads to the new one. The error wraps memdir.ErrNone on a
// machine without folders in memory.
func (c *Checkout) ToMemory() error {
	folder, err := memdir.New(memdir.Usual()...)
	if err != nil {
		return err
	}
	before := c.Export
	if err := os.CopyFS(folder, os.DirFS(before)); err != nil {
		return errors.Join(err, memdir.Remove(folder))
	}
	c.Export, c.link = folder, before
	return errors.Join(os.RemoveAll(before), os.Symlink(folder, before))
}

// Close removes the exported files, and ends what asks the Git host. It may be called twice.
func (c *Checkout) Close() error {
	if c.behind != nil {
		c.stopAsking()
		_, _ = c.behind() // no one waits for the answer any more
		c.behind = nil
	}
	if c.Export == c.Root {
		return nil
	}
	if c.link != "" {
		if err := os.RemoveAll(c.link); err != nil {
			return err
		}
	}
	return os.RemoveAll(c.Export)
}

// File reads a file of the commit, by its path in the repository. Without one the error
// wraps fs.ErrNotExist.
func (c *Checkout) File(name string) ([]byte, error) {
	return os.ReadFile(filepath.Join(c.Export, filepath.FromSlash(name)))
}

func (c *Checkout) load(ctx context.Context) error {
	var err error
	if c.Commit, err = c.Git.Head(ctx); err != nil && (c.Files == Committed || !errors.Is(err, git.ErrUnborn)) {
		return err
	}
	left, err := c.fill(ctx)
	if err != nil {
		return err
	}
	if c.Repository, err = controlrepo.Load(c.Export, version.String()); err != nil {
		return err
	}
	if err := c.checkSigned(ctx); err != nil {
		return err
	}
	c.Noticed = c.leftOut(left)
	return c.noticeElsewhere(ctx)
}
