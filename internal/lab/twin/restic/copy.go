package restic

import (
	"context"
	"encoding/json"
	"net"

	"salvor/internal/secret"
	"salvor/internal/snapshot/repository"
)

// copy is one run of `restic copy`, of one snapshot.
func (r *run) copy(ctx context.Context, id string, dial func(context.Context, string) (net.Conn, error)) error {
	store, err := connect(string(r.Secrets["from-repository"]), dial)
	if err != nil {
		return err
	}
	defer store.close()
	from, err := repository.Open(ctx, store, secret.New(r.Secrets["from-password"]), repository.Spare{})
	if err != nil {
		return err
	}
	s, err := from.Snapshot(ctx, id)
	if err != nil {
		return err
	}
	for _, load := range []*repository.Repository{from, r.repo} {
		if _, err := load.LoadIndex(ctx); err != nil {
			return err
		}
	}
	b := &backup{run: r, ctx: ctx, data: pack{kind: "data"}, trees: pack{kind: "tree"}}
	if err := b.copyTree(from, s.Tree); err != nil {
		return err
	}
	if err := b.flush(); err != nil {
		return err
	}
	plain, err := json.Marshal(map[string]any{"time": s.Time, "tree": s.Tree, "paths": s.Paths, "hostname": s.Hostname, "tags": s.Tags, "program_version": s.Program, "original": id})
	if err == nil {
		_, err = r.put(ctx, "snapshots", plain)
	}
	return err
}

// copyTree adds a folder with all that is in it.
func (b *backup) copyTree(from *repository.Repository, tree string) error {
	nodes, err := from.Tree(b.ctx, tree)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		if n.Type == "dir" {
			if err := b.copyTree(from, n.Subtree); err != nil {
				return err
			}
		}
		for _, id := range n.Content {
			content, err := from.Blob(b.ctx, id)
			if err == nil {
				_, err = b.data.add(b, content)
			}
			if err != nil {
				return err
			}
		}
	}
	plain, err := from.Blob(b.ctx, tree)
	if err == nil {
		_, err = b.trees.add(b, plain)
	}
	return err
}
