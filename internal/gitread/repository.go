// Package gitread reads the control repository from a host: the newest commit of
// one branch, over SSH with the host's own key and pinned host keys, or over
// HTTPS with a token. It needs no git program and never writes to the remote.
package gitread

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"salvor/internal/lockfile"
	"salvor/internal/secret"
)

// ErrUnreachable is wrapped by errors that mean: the newest commit could not be
// read, whatever the reason.
var ErrUnreachable = errors.New("control repository unreachable")

const (
	remoteName = "origin"
	mainBranch = "main"
	// tracked is where the branch is kept in the cache, whatever its name.
	tracked = plumbing.ReferenceName("refs/salvor/newest")
)

// A Source says where the control repository is and how a host gets in.
type Source struct {
	URL        string       // ssh://, user@host:path or https://; no password in it
	Branch     string       // "main" when empty
	KeyFile    string       // the host's private SSH key, for SSH
	KnownHosts []byte       // lines of known_hosts; any other host key is refused
	Token      secret.Value // for HTTPS, may be empty
}

// A Repository is a local copy of one branch with its history, kept in a bare
// repository so that each fetch brings only what is new. It is not safe for
// concurrent use.
type Repository struct {
	dir    string
	remote *config.RemoteConfig
	branch string
	git    *git.Repository
	auth   transport.AuthMethod
	newest plumbing.Hash // of the last Fetch that succeeded
}

// Open opens the local copy in dir, or makes it. It does not reach out.
func Open(dir string, source Source) (*Repository, error) {
	if u, err := url.Parse(source.URL); err == nil && u.User != nil {
		_, has := u.User.Password()
		if web := strings.HasPrefix(strings.ToLower(u.Scheme), "http"); has || web { // a token may be in the place of the user
			return nil, errors.New("open control repository: its URL holds a password or a token")
		}
	}
	auth, err := source.auth()
	if err != nil {
		return nil, fmt.Errorf("open control repository: %w", err)
	}
	branch := source.Branch
	if branch == "" {
		branch = mainBranch
	}
	spec := config.RefSpec(fmt.Sprintf("+%s:%s", plumbing.NewBranchReferenceName(branch), tracked))
	r := &Repository{
		dir: dir, branch: branch, auth: auth,
		remote: &config.RemoteConfig{Name: remoteName, URLs: []string{source.URL}, Fetch: []config.RefSpec{spec}},
	}
	if r.open() != nil {
		if err := r.renew(); err != nil {
			return nil, fmt.Errorf("open control repository in %s: %w", dir, err)
		}
	}
	return r, nil
}

// open opens the copy, or makes it: for its user alone, since it holds all that
// the control repository does.
func (r *Repository) open() error {
	if err := private(r.dir); err != nil {
		return err
	}
	copied, err := git.PlainOpen(r.dir)
	if errors.Is(err, git.ErrRepositoryNotExists) {
		copied, err = git.PlainInit(r.dir, true)
	}
	if err != nil {
		return err
	}
	c, err := copied.Config()
	if err != nil {
		return err
	}
	c.Remotes = map[string]*config.RemoteConfig{remoteName: r.remote}
	r.git = copied
	return copied.SetConfig(c)
}

// private makes a folder that only its user can enter, or closes one that is there.
func private(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// renew begins with an empty copy. What was there came from the remote, and comes
// from there again.
func (r *Repository) renew() error {
	if err := os.RemoveAll(r.dir); err != nil {
		return err
	}
	return r.open()
}

// whole reports whether the copy has the commit that it says is the newest, and the
// lock in it. Git's own objects are not all read: this runs several times a minute.
func (r *Repository) whole() bool {
	if _, err := r.git.References(); err != nil {
		return false // a fetch reads all of them
	}
	ref, err := r.git.Reference(tracked, true)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return true
	}
	if err != nil {
		return false
	}
	c, err := r.git.CommitObject(ref.Hash())
	if err != nil {
		return false
	}
	lock, err := c.File(lockfile.Name)
	if err == nil {
		_, err = lock.Contents()
	}
	return err == nil || errors.Is(err, object.ErrFileNotFound)
}

// Fetch gets what is new and returns the branch's newest commit. It returns when
// ctx ends, also while a server does not answer. Every error wraps
// ErrUnreachable, and the context's own when that ended. A copy that is damaged is
// fetched again.
func (r *Repository) Fetch(ctx context.Context) (commit string, err error) {
	done := make(chan error, 1)
	// go-git does not watch the context while it opens an SSH connection
	go func() {
		err := r.fetch(ctx)
		if ctx.Err() == nil && !r.whole() {
			if err = r.renew(); err == nil {
				err = r.fetch(ctx)
			}
		}
		done <- err
	}()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnreachable, err)
	}
	ref, err := r.git.Reference(tracked, true)
	if err != nil {
		return "", fmt.Errorf("%w: branch %s: %w", ErrUnreachable, r.branch, err)
	}
	if _, err := r.git.CommitObject(ref.Hash()); err != nil {
		return "", fmt.Errorf("%w: commit %s: %w", ErrUnreachable, ref.Hash(), err)
	}
	r.newest = ref.Hash()
	return r.newest.String(), nil
}

func (r *Repository) fetch(ctx context.Context) error {
	options := git.FetchOptions{RemoteName: remoteName, Auth: r.auth, Tags: git.NoTags, Force: true}
	err := r.git.FetchContext(ctx, &options)
	for again := 0; endedEarly(err) && again < 3; again++ {
		err = r.git.FetchContext(ctx, &options)
	}
	if errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
}

// endedEarly reports whether the server had sent everything and was gone before go-git closed its side of an SSH
// connection: it fails then, and reads nothing of what was sent (uploadPack in plumbing/transport/internal/common).
func endedEarly(err error) bool {
	return err != nil && strings.HasSuffix(err.Error(), "closing input: EOF")
}

// Contains reports whether a commit is on the branch. Known is false before the
// first Fetch that succeeded.
func (r *Repository) Contains(commit string) (on, known bool) {
	if r.newest.IsZero() {
		return false, false
	}
	on, err := r.Descends(r.newest.String(), commit)
	return on, err == nil
}

// Descends reports whether newer is older or comes after it. A commit that the branch
// never had is not an ancestor of anything.
func (r *Repository) Descends(newer, older string) (bool, error) {
	if !plumbing.IsHash(older) {
		return false, nil
	}
	ancestor, err := r.git.CommitObject(plumbing.NewHash(older))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	commit, err := r.commit(newer)
	if err != nil {
		return false, err
	}
	return ancestor.IsAncestor(commit)
}

func (r *Repository) commit(hash string) (*object.Commit, error) {
	c, err := r.git.CommitObject(plumbing.NewHash(hash))
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	return c, nil
}
