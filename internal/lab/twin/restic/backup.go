package restic

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"salvor/internal/snapshot/repository"
)

// A packed blob, as indexes name it.
type packed struct {
	ID     string `json:"id"`
	Type   string `json:"type"`
	Offset int    `json:"offset"`
	Length int    `json:"length"`
}

// pack gathers blobs of one type.
type pack struct {
	kind    string
	content bytes.Buffer
	blobs   []packed
}

// backup is one run of `restic backup`.
type backup struct {
	*run
	ctx         context.Context // of the run
	data, trees pack
	files, size int
	added       int
}

func (r *run) locked(ctx context.Context, exclusive bool, work func() error) error {
	plain, err := json.Marshal(map[string]any{"time": time.Now(), "exclusive": exclusive, "hostname": r.Hostname, "username": "root", "pid": 1})
	if err != nil {
		return err
	}
	if _, err := r.store.List(ctx, "locks"); err != nil {
		return err
	}
	id, err := r.put(ctx, "locks", plain)
	if err != nil {
		return fmt.Errorf("unable to create lock in backend: %w", err)
	}
	if _, err := r.store.List(ctx, "locks"); err != nil {
		return err
	}
	err = work()
	return errors.Join(err, r.store.Delete(ctx, "locks/"+id))
}

// put seals and stores an object that is not in a pack.
func (r *run) put(ctx context.Context, kind string, plain []byte) (string, error) {
	sealed, err := r.key.seal(plain)
	if err != nil {
		return "", err
	}
	id := digest(sealed)
	_, err = r.store.Put(ctx, kind+"/"+id, bytes.NewReader(sealed), int64(len(sealed)))
	return id, err
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func (r *run) backup(ctx context.Context, args []string) error {
	if _, err := r.repo.LoadIndex(ctx); err != nil {
		return err
	}
	b := &backup{run: r, ctx: ctx, data: pack{kind: "data"}, trees: pack{kind: "tree"}}
	top := args[len(args)-1]
	root, err := b.wrap(top)
	if err != nil {
		return err
	}
	if err := b.flush(); err != nil {
		return err
	}
	snapshot := map[string]any{"time": time.Now(), "tree": root, "paths": []string{top}, "hostname": option(args, "--host"), "tags": options(args, "--tag"), "program_version": "restic 0.18.0"}
	plain, err := json.Marshal(snapshot)
	if err != nil {
		return err
	}
	id, err := r.put(ctx, "snapshots", plain)
	if err != nil {
		return err
	}
	return json.NewEncoder(r.cmd.Stdout).Encode(map[string]any{
		"message_type": "summary", "files_new": b.files, "total_files_processed": b.files, "total_bytes_processed": b.size, "data_added": b.added, "snapshot_id": id,
	})
}

// wrap makes the folders above what is backed up, and returns the topmost tree.
func (b *backup) wrap(top string) (string, error) {
	tree, err := b.folder(top)
	for at := top; err == nil && at != "/"; at = path.Dir(at) {
		tree, err = b.tree([]repository.Node{{Name: path.Base(at), Type: "dir", Mode: os.ModeDir | 0o755, Subtree: tree}})
	}
	return tree, err
}

// folder reads a folder of the namespace, in which binds appear.
func (b *backup) folder(at string) (string, error) {
	names := map[string]bool{}
	for _, bind := range b.Binds {
		if rest, ok := strings.CutPrefix(bind.Target, at+"/"); ok {
			first, _, _ := strings.Cut(rest, "/")
			names[first] = true
		}
	}
	if source, ok := b.source(at); ok {
		entries, err := os.ReadDir(source)
		if err != nil {
			return "", err
		}
		for _, e := range entries {
			names[e.Name()] = true
		}
	}
	var nodes []repository.Node
	for _, name := range sorted(names) {
		n, err := b.node(path.Join(at, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // it vanished
		}
		if err != nil {
			return "", err
		}
		nodes = append(nodes, n)
	}
	return b.tree(nodes)
}

func sorted(set map[string]bool) []string {
	var names []string
	for name := range set {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (b *backup) node(at string) (n repository.Node, err error) {
	n = repository.Node{Name: quoted(path.Base(at)), Type: "dir", Mode: os.ModeDir | 0o755}
	source, ok := b.source(at)
	if !ok {
		n.Subtree, err = b.folder(at)
		return n, err
	}
	info, err := os.Lstat(source)
	if err != nil {
		return n, err
	}
	st := info.Sys().(*syscall.Stat_t)
	n.Mode, n.ModTime, n.UID, n.GID, n.Inode, n.Device, n.Links = info.Mode(), info.ModTime(), st.Uid, st.Gid, st.Ino, st.Dev, st.Nlink
	if info.IsDir() {
		n.Subtree, err = b.folder(at)
		return n, err
	}
	content, err := os.ReadFile(filepath.Clean(source))
	if err != nil {
		return n, err
	}
	n.Type, n.Size = "file", int64(len(content))
	b.files, b.size = b.files+1, b.size+len(content)
	if len(content) > 0 {
		id, err := b.data.add(b, content)
		n.Content = []string{id}
		return n, err
	}
	return n, nil
}

// quoted is a name as trees have it.
func quoted(name string) string {
	q := strconv.Quote(name)
	return q[1 : len(q)-1]
}

func (b *backup) tree(nodes []repository.Node) (string, error) {
	plain, err := json.Marshal(map[string]any{"nodes": nodes})
	if err != nil {
		return "", err
	}
	return b.trees.add(b, append(plain, '\n'))
}

// add puts a blob into the pack, unless the repository or the pack has it.
func (p *pack) add(b *backup, plain []byte) (string, error) {
	id := digest(plain)
	there := slices.ContainsFunc(p.blobs, func(o packed) bool { return o.ID == id })
	if there || b.repo.Named(b.ctx, id) == nil {
		return id, nil
	}
	sealed, err := b.key.seal(plain)
	if err != nil {
		return "", err
	}
	p.blobs = append(p.blobs, packed{id, p.kind, p.content.Len(), len(sealed)})
	p.content.Write(sealed)
	b.added += len(plain)
	return id, nil
}

// flush writes the packs and an index of them.
func (b *backup) flush() error {
	var packs []named
	for _, p := range []*pack{&b.data, &b.trees} {
		if len(p.blobs) == 0 {
			continue
		}
		content, err := p.closed(b.key)
		if err != nil {
			return err
		}
		id := digest(content)
		if _, err := b.store.Put(b.ctx, "data/"+id, bytes.NewReader(content), int64(len(content))); err != nil {
			return err
		}
		packs = append(packs, named{id, p.blobs})
	}
	if len(packs) == 0 {
		return nil
	}
	plain, err := json.Marshal(map[string]any{"packs": packs})
	if err == nil {
		_, err = b.put(b.ctx, "index", plain)
	}
	return err
}

// closed returns the pack with its header.
func (p *pack) closed(k key) ([]byte, error) {
	var header []byte
	for _, o := range p.blobs {
		kind := byte(0)
		if o.Type == "tree" {
			kind = 1
		}
		id, err := hex.DecodeString(o.ID)
		if err != nil {
			return nil, err
		}
		header = append(binary.LittleEndian.AppendUint32(append(header, kind), uint32(o.Length)), id...) //nolint:gosec // small
	}
	sealed, err := k.seal(header)
	if err != nil {
		return nil, err
	}
	p.content.Write(sealed)
	return binary.LittleEndian.AppendUint32(p.content.Bytes(), uint32(len(sealed))), nil //nolint:gosec // small
}
