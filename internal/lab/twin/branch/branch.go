// Package branch is a Git host in memory with one branch, and the clones of it.
package branch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"sync"

	"salvor/internal/git"
)

// An Edge is asked before and after each call that leaves a machine: its error is the
// call's, which has happened when it was asked the second time.
type Edge func(ctx context.Context, op string) error

type commit struct {
	parent  string
	files   map[string][]byte
	message string
}

// A Host is the Git host, with the commits that anyone has made. It is safe for
// concurrent use.
type Host struct {
	mu      sync.Mutex // guards everything
	commits map[string]commit
	head    string
	made    int
	away    bool
}

// NewHost returns a Git host whose branch has one commit with these files.
func NewHost(files map[string][]byte) *Host {
	h := &Host{commits: map[string]commit{}}
	h.head = h.add("", files, "the first")
	return h
}

// SetAway has the host answer no one, or everybody.
func (h *Host) SetAway(away bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.away = away
}

func (h *Host) add(parent string, files map[string][]byte, message string) string {
	h.made++
	all := maps.Clone(h.commits[parent].files)
	if all == nil {
		all = map[string][]byte{}
	}
	for name, content := range files {
		if all[name] = content; content == nil {
			delete(all, name)
		}
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", parent, h.made, message))
	id := hex.EncodeToString(sum[:20])
	h.commits[id] = commit{parent: parent, files: all, message: message}
	return id
}

// ancestor reports whether a commit is id or behind it.
func (h *Host) ancestor(old, id string) bool {
	for ; id != ""; id = h.commits[id].parent {
		if id == old {
			return true
		}
	}
	return false
}

// A Copy is a host's copy of the branch.
type Copy struct {
	host   *Host
	edge   Edge
	newest string
}

// Copy returns a copy that nothing was fetched into.
func (h *Host) Copy(edge Edge) *Copy { return &Copy{host: h, edge: edge} }

// Fetch implements agent.ControlCopy.
func (c *Copy) Fetch(ctx context.Context) (string, error) {
	if err := c.edge(ctx, "git fetch"); err != nil {
		return "", err
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.host.away {
		return "", errors.New("the Git host does not answer")
	}
	c.newest = c.host.head
	return c.newest, nil
}

// File implements agent.ControlCopy.
func (c *Copy) File(id, name string) ([]byte, error) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	content, ok := c.host.commits[id].files[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return content, nil
}

// Contains implements agent.ControlCopy.
func (c *Copy) Contains(id string) (on, known bool) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return c.host.ancestor(id, c.newest), c.newest != ""
}

// A Clone is an operator's. It outlives the commands that use it.
type Clone struct {
	host    *Host
	head    string
	tracked string // what the branch was when it was last heard of
}

// Clone returns a clone of the branch as it is.
func (h *Host) Clone() *Clone { return &Clone{host: h, head: h.head, tracked: h.head} }

// Head returns the newest commit of the clone.
func (c *Clone) Head() string { return c.head }

// Unpushed reports whether the clone has commits that the Git host is not known to have.
func (c *Clone) Unpushed() bool {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return !c.host.ancestor(c.head, c.tracked)
}

// Files returns the files of the newest commit.
func (c *Clone) Files() map[string][]byte { return c.at(c.head) }

// Tracked returns the files of the branch as it was last heard of.
func (c *Clone) Tracked() map[string][]byte { return c.at(c.tracked) }

func (c *Clone) at(id string) map[string][]byte {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return maps.Clone(c.host.commits[id].files)
}

// Base returns the files of the newest commit that clone and branch have in common.
func (c *Clone) Base() map[string][]byte {
	c.host.mu.Lock()
	id := c.head
	for !c.host.ancestor(id, c.tracked) {
		id = c.host.commits[id].parent
	}
	c.host.mu.Unlock()
	return c.at(id)
}

// Fetch learns what the branch is.
func (c *Clone) Fetch(ctx context.Context, edge Edge) error {
	if err := edge(ctx, "git fetch"); err != nil {
		return err
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.host.away {
		return git.ErrGitAway
	}
	c.tracked = c.host.head
	return nil
}

// Rebase puts files on top of the branch in place of the clone's own commits; none
// takes those back.
func (c *Clone) Rebase(files map[string][]byte, message string) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.head = c.tracked
	if len(files) > 0 {
		c.head = c.host.add(c.head, files, message)
	}
}

// OnBranch judges commits as an operator's command does: by what the Git host is
// known to have.
func (c *Clone) OnBranch(id string) (on, known bool) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	on = c.host.ancestor(id, c.tracked)
	return on, on || c.tracked == c.head
}

// Files returns the files of the branch's newest commit.
func (h *Host) Files() map[string][]byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.commits[h.head].files)
}
