package repository

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"time"
)

// A Node is one file, folder, link … in a snapshot.
type Node struct {
	Name       string      `json:"name"`
	Type       string      `json:"type"` // file, dir, symlink, dev, chardev, fifo, socket
	Mode       fs.FileMode `json:"mode"`
	ModTime    time.Time   `json:"mtime"`
	UID        uint32      `json:"uid"`
	GID        uint32      `json:"gid"`
	Inode      uint64      `json:"inode"`
	Device     uint64      `json:"device_id"`
	Special    uint64      `json:"device"` // which device a node is, as st_rdev
	Links      uint64      `json:"links"`
	Size       int64       `json:"size"`
	LinkTarget string      `json:"linktarget"`
	RawTarget  []byte      `json:"linktarget_raw"` // where LinkTarget is not UTF-8
	Attributes []Attribute `json:"extended_attributes"`
	Content    []string    `json:"content"`
	Subtree    string      `json:"subtree"`
}

// An Attribute is an extended attribute.
type Attribute struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// Target returns where a symbolic link points.
func (n Node) Target() string {
	if n.RawTarget != nil {
		return string(n.RawTarget)
	}
	return n.LinkTarget
}

func parseTree(content []byte) ([]Node, error) {
	var tree struct {
		Nodes []Node `json:"nodes"`
	}
	if err := json.Unmarshal(content, &tree); err != nil {
		return nil, err
	}
	for i, n := range tree.Nodes {
		name, err := strconv.Unquote(`"` + n.Name + `"`)
		if err != nil || name == "" || name == "." || name == ".." || path.Base(name) != name {
			return nil, fmt.Errorf("%q is not a file name", n.Name)
		}
		tree.Nodes[i].Name = name
	}
	return tree.Nodes, nil
}

type indexFile struct {
	Packs []indexPack `json:"packs"`
}

type indexPack struct {
	ID    string  `json:"id"`
	Blobs []entry `json:"blobs"`
}

// An entry is one blob of a pack, as an index names it.
type entry struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Raw    int64  `json:"uncompressed_length,omitempty"`
}

func (e entry) in(pack string) place {
	return place{pack, e.Offset, e.Length, e.Raw, e.Type == "tree"}
}

// LoadIndex reads every index. It may be called again after the repository has
// grown; other methods call it when needed. Indexes that are damaged are
// returned; what only they name is not found.
func (r *Repository) LoadIndex(ctx context.Context) ([]Damaged, error) {
	objects, err := r.store.List(ctx, "index")
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.blobs, r.packs = nil, nil
	r.mu.Unlock()
	return r.addIndex(ctx, names(objects))
}

// AddIndex reads these indexes, and no others unless LoadIndex is called.
func (r *Repository) AddIndex(ctx context.Context, ids ...string) error {
	damaged, err := r.addIndex(ctx, ids)
	if err == nil && len(damaged) > 0 {
		err = damaged[0].Err
	}
	return err
}

func (r *Repository) addIndex(ctx context.Context, ids []string) ([]Damaged, error) {
	files, damaged, err := each(ctx, r, "index", ids, func(_ string, content []byte) (indexFile, error) {
		var f indexFile
		return f, json.Unmarshal(content, &f)
	})
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.blobs == nil {
		r.blobs, r.packs = map[string]place{}, map[string][]entry{}
	}
	for _, f := range files {
		for _, p := range f.Packs {
			r.packs[p.ID] = p.Blobs
			for _, b := range p.Blobs {
				r.blobs[b.ID] = b.in(p.ID)
			}
		}
	}
	return damaged, nil
}

func (r *Repository) find(ctx context.Context, id string) (place, error) {
	r.mu.Lock()
	loaded := r.blobs != nil
	r.mu.Unlock()
	if !loaded {
		if _, err := r.LoadIndex(ctx); err != nil {
			return place{}, err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.blobs[id]
	if !ok {
		return place{}, fmt.Errorf("blob %s is in no index: %w", id, ErrDamaged)
	}
	return p, nil
}

// Named is nil for a blob that an index names, ErrDamaged for another.
func (r *Repository) Named(ctx context.Context, id string) error {
	_, err := r.find(ctx, id)
	return err
}

// Blob reads one blob and compares it with its name.
func (r *Repository) Blob(ctx context.Context, id string) ([]byte, error) {
	p, err := r.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if !ValidName(p.pack) || p.length > maxObject {
		return nil, fmt.Errorf("blob %s: %w", id, ErrDamaged)
	}
	var content []byte
	err = twice(func() error {
		sealed, err := r.sealed(ctx, p)
		if err != nil {
			return fmt.Errorf("blob %s: %w", id, err)
		}
		if content, err = r.plain(sealed, id, p.raw); err != nil {
			return &PackError{Pack: p.pack, Err: err}
		}
		return nil
	})
	return content, err
}

// A PackError is content that is not what was written, and names the pack that
// has it.
type PackError struct {
	Pack string
	Err  error
}

// Error implements error.
func (e *PackError) Error() string { return fmt.Sprintf("pack %s: %v", ShortID(e.Pack), e.Err) }

// Unwrap returns what is wrong.
func (e *PackError) Unwrap() error { return e.Err }

// plain decrypts and decompresses a blob and compares it with its name.
func (r *Repository) plain(sealed []byte, id string, raw int64) ([]byte, error) {
	plain, err := r.key.open(sealed)
	if err == nil && raw > 0 {
		plain, err = inflate(plain)
	}
	if err != nil {
		return nil, fmt.Errorf("blob %s: %w: %w", id, err, ErrDamaged)
	}
	if sum := sha256.Sum256(plain); hex.EncodeToString(sum[:]) != id {
		return nil, fmt.Errorf("blob %s: content does not match its name: %w", id, ErrDamaged)
	}
	return plain, nil
}

// maxTrees bounds the packs of folders that are kept in memory.
const maxTrees = 64 << 20

// sealed reads a blob as it is in its pack. Folders are together in packs of their
// own, so these are read whole, once.
func (r *Repository) sealed(ctx context.Context, p place) ([]byte, error) {
	name := packPath(p.pack)
	if !p.tree {
		return read(ctx, r.store, name, p.offset, p.length)
	}
	r.mu.Lock()
	pack, ok := r.trees[p.pack]
	r.mu.Unlock()
	if !ok {
		var err error
		if pack, err = whole(ctx, r.store, name); pack == nil {
			return nil, err // of one that differs, some folders may be good
		}
		r.cachePack(p.pack, pack)
	}
	if p.offset < 0 || p.length < 0 || p.offset > int64(len(pack)) || p.length > int64(len(pack))-p.offset {
		return nil, fmt.Errorf("pack %s is truncated: %w", p.pack, ErrDamaged)
	}
	return pack[p.offset : p.offset+p.length], nil
}

func (r *Repository) cachePack(id string, pack []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept += len(pack)
	if r.trees == nil || r.kept > maxTrees {
		r.trees, r.kept = map[string][]byte{}, len(pack)
	}
	r.trees[id] = pack
}

// Tree reads one folder.
func (r *Repository) Tree(ctx context.Context, id string) ([]Node, error) {
	content, err := r.Blob(ctx, id)
	if err != nil {
		return nil, err
	}
	nodes, err := parseTree(content)
	if err != nil {
		return nil, fmt.Errorf("folder %s: %w: %w", id, err, ErrDamaged)
	}
	return nodes, nil
}

// Lookup returns the node at an absolute path of a snapshot; a missing one is
// fs.ErrNotExist.
func (r *Repository) Lookup(ctx context.Context, s Snapshot, at string) (Node, error) {
	node := Node{Type: "dir", Subtree: s.Tree}
	for _, name := range elements(at) {
		if node.Type != "dir" {
			return Node{}, fmt.Errorf("%s: %w", at, fs.ErrNotExist)
		}
		nodes, err := r.Tree(ctx, node.Subtree)
		if err != nil {
			return Node{}, err
		}
		found := false
		for _, n := range nodes {
			if n.Name == name {
				node, found = n, true
			}
		}
		if !found {
			return Node{}, fmt.Errorf("%s: %w", at, fs.ErrNotExist)
		}
	}
	return node, nil
}

func elements(at string) []string {
	var names []string
	for at = path.Clean(at); at != "/" && at != "."; at = path.Dir(at) {
		names = append([]string{path.Base(at)}, names...)
	}
	return names
}

// File reads a small file whole.
func (r *Repository) File(ctx context.Context, n Node) ([]byte, error) {
	if n.Type != "file" || n.Size > maxObject {
		return nil, errors.New("not a small file")
	}
	var content []byte
	for _, id := range n.Content {
		b, err := r.Blob(ctx, id)
		if err != nil {
			return nil, err
		}
		content = append(content, b...)
	}
	return content, nil
}

// Walk calls visit for everything below a folder, parents first, with paths
// relative to it.
func (r *Repository) Walk(ctx context.Context, root Node, visit func(path string, n Node) error) error {
	return r.walk(ctx, root.Subtree, "", visit)
}

func (r *Repository) walk(ctx context.Context, tree, at string, visit func(string, Node) error) error {
	nodes, err := r.Tree(ctx, tree)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		below := path.Join(at, n.Name)
		if err := visit(below, n); err != nil {
			return err
		}
		if n.Type == "dir" {
			if err := r.walk(ctx, n.Subtree, below, visit); err != nil {
				return err
			}
		}
	}
	return nil
}

// Packs returns the packs that the loaded indexes name, with the size that each
// has at least.
func (r *Repository) Packs() map[string]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	sizes := map[string]int64{}
	for id, blobs := range r.packs {
		sizes[id] = 0
		for _, b := range blobs {
			sizes[id] = max(sizes[id], b.Offset+b.Length)
		}
	}
	return sizes
}
