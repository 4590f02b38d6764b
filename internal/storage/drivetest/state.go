package drivetest

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

const folderType = "application/vnd.google-apps.folder"

// A node is a file or folder.
type node struct {
	id, name, mime string
	parent         string   // "" for a root, and for a file without a folder
	drive          string   // the shared drive that it is on, "" for none
	owner          *account // nil on a shared drive
	client         string   // the OAuth client that made it
	content        *content // nil for folders

	trashed           bool // itself, not only a folder above it
	starred           bool
	created, modified time.Time
	description       string
	properties        map[string]string
	appProperties     map[string]string
	shared            map[string]Role // by email, with all below

	version  int64
	order    int64 // in which it was made
	unlisted int   // so many listings leave it out yet
	change   int   // the newest entry of the log about it, counted from 1
}

// A Role is what someone may do with a file.
type Role int

const (
	noRole Role = iota
	// Reader may read.
	Reader
	// Writer may also write.
	Writer
	// ContentManager may also move and trash.
	ContentManager
	// Manager may also delete permanently.
	Manager
)

// An account is a person or a service account.
type account struct {
	email   string
	service bool // without storage of its own
	limit   int64
	used    int64
	root    string

	dayBegan time.Time // of the limit on uploads
	today    int64     // bytes
}

// A sharedDrive belongs to an organisation. Its root folder has its id.
type sharedDrive struct {
	id, name string
	created  time.Time
	members  map[string]Role // by email
	items    int
}

// A tree is all that is stored, on every drive. The server's lock guards it.
type tree struct {
	*source
	made     int64
	nodes    map[string]*node
	children map[string][]*node // by folder, the oldest first
	drives   map[string]*sharedDrive
	log      []change
}

// add puts a new node into the tree.
func (t *tree) add(n *node) *node {
	t.made++
	n.order, n.version = t.made, 1
	if n.id == "" {
		n.id = "1" + t.text(32)
	}
	t.nodes[n.id] = n
	t.attach(n, n.parent)
	if d := t.drives[n.drive]; d != nil {
		d.items++
	}
	t.changed(n, false)
	return n
}

func (t *tree) attach(n *node, parent string) {
	n.parent = parent
	at, _ := slices.BinarySearchFunc(t.children[parent], n, byAge)
	t.children[parent] = slices.Insert(t.children[parent], at, n)
}

func (t *tree) detach(n *node) {
	if at, found := slices.BinarySearchFunc(t.children[n.parent], n, byAge); found {
		t.children[n.parent] = slices.Delete(t.children[n.parent], at, at+1)
	}
}

func (t *tree) move(n *node, parent string) {
	t.detach(n)
	t.attach(n, parent)
}

// remove deletes a node and all below it.
func (t *tree) remove(n *node) {
	for _, child := range slices.Clone(t.children[n.id]) {
		t.remove(child)
	}
	t.replace(n, nil)
	t.detach(n)
	delete(t.children, n.id)
	delete(t.nodes, n.id)
	if d := t.drives[n.drive]; d != nil {
		d.items--
	}
	t.changed(n, true)
}

// replace gives a file another content, or none.
func (t *tree) replace(n *node, with *content) {
	if n.owner != nil {
		n.owner.used += size(with) - size(n.content)
	}
	n.content.drop()
	n.content = with
}

func size(c *content) int64 {
	if c == nil {
		return 0
	}
	return c.size
}

// inTrash reports whether a node or a folder above it is in the trash.
func (t *tree) inTrash(n *node) bool {
	for ; n != nil; n = t.nodes[n.parent] {
		if n.trashed {
			return true
		}
	}
	return false
}

// within reports whether a node is a folder or lies below it.
func (t *tree) within(n *node, folder string) bool {
	for ; n != nil; n = t.nodes[n.parent] {
		if n.id == folder {
			return true
		}
	}
	return false
}

// isRoot reports whether a node is the top of a drive.
func (t *tree) isRoot(n *node) bool {
	return n.drive == n.id || n.owner != nil && n.owner.root == n.id
}

// role returns what a caller may do with a node. An app with the scope drive.file sees
// only what it made, and the roots.
func (t *tree) role(by *session, n *node) Role {
	if by.onlyOwn() && n.client != by.client && !t.isRoot(n) {
		return noRole
	}
	if d := t.drives[n.drive]; d != nil {
		return d.members[by.account.email]
	}
	if n.owner == by.account {
		return Manager
	}
	for ; n != nil; n = t.nodes[n.parent] {
		if r := n.shared[by.account.email]; r != noRole {
			return r
		}
	}
	return noRole
}

// all returns every node, the oldest first.
func (t *tree) all() []*node { return slices.SortedFunc(maps.Values(t.nodes), byAge) }

func byAge(a, b *node) int { return cmp.Compare(a.order, b.order) }
