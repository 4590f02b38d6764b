package mounter

import (
	"path"
	"sync"
)

// rootID is the kernel's number of a file system's top folder (FUSE_ROOT_ID).
const rootID = 1

// names follow which path the kernel's numbers of files and folders stand for.
type names struct {
	mu sync.Mutex
	at map[uint64]*entry
	of map[place]uint64
}

// A place is a name in a folder.
type place struct {
	parent uint64
	name   string
}

// An entry is where a number is, and how many references to it the kernel has.
type entry struct {
	place
	lookups uint64
}

func newNames() *names { return &names{at: map[uint64]*entry{}, of: map[place]uint64{}} }

// found notes what a name in a folder stands for, once for each answer to the kernel.
func (n *names) found(parent uint64, name string, id uint64) {
	if id == 0 || id == rootID {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.at[id]
	if e == nil {
		e = &entry{}
		n.at[id] = e
	}
	e.lookups++
	n.put(id, e, place{parent, name})
}

// renamed notes that a name has moved, over what was there.
func (n *names) renamed(from, to place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, known := n.of[from]; known {
		n.put(id, n.at[id], to)
	}
}

// put has a number stand at a place. n.mu is held.
func (n *names) put(id uint64, e *entry, at place) {
	if n.of[e.place] == id {
		delete(n.of, e.place)
	}
	if over, taken := n.of[at]; taken && over != id {
		n.at[over].place = place{}
	}
	e.place, n.of[at] = at, id
}

// removed notes that a name is gone. What it stood for may still be open.
func (n *names) removed(at place) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, known := n.of[at]; known {
		n.at[id].place = place{}
		delete(n.of, at)
	}
}

// forgotten notes that the kernel has given up references to a number.
func (n *names) forgotten(id, lookups uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	e := n.at[id]
	if e == nil {
		return
	}
	if e.lookups -= min(lookups, e.lookups); e.lookups > 0 {
		return
	}
	if n.of[e.place] == id {
		delete(n.of, e.place)
	}
	delete(n.at, id)
}

// path returns the path below the file system's top, false for what has none any more.
func (n *names) path(id uint64) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	full := ""
	for id != rootID {
		e := n.at[id]
		if e == nil || e.name == "" {
			return "", false
		}
		full, id = path.Join(e.name, full), e.parent
	}
	return full, true
}
