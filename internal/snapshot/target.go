package snapshot

import (
	"context"
	"os"
	"path/filepath"

	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
)

// restoreRoot is where restic restores to: the volumes' own staging folders
// appear below it, so that nothing is copied afterwards.
const restoreRoot = nsexec.Root + "/restore"

// A target is one volume on its way: the node in the snapshot and the folder or
// file that it is restored to.
type target struct {
	volume  VolumeMeta
	node    repository.Node
	inside  string // path in the snapshot
	path    string // on this host
	staging string // where the volume's files are staged: path, but for a dump
}

func (e Engine) targets(ctx context.Context, f *Fetched, repo *repository.Repository, snap repository.Snapshot, volumes []Volume) ([]target, error) {
	var targets []target
	for _, v := range volumes {
		m, _ := f.Meta.Of(v)
		t := target{volume: m, inside: inside(f.job.Stack, DirName(m.Name))}
		var err error
		if t.node, err = repo.Lookup(ctx, snap, t.inside); err != nil {
			return nil, err
		}
		if t.staging, err = (fetcher{e}).staging(f.job.Stack, v); err != nil {
			return nil, err
		}
		if t.path = t.staging; m.Form.IsDump() {
			t.path = dumpAt(t.staging)
		}
		if err := makeStaging(t.path, t.node.Type == "dir"); err != nil {
			return nil, err
		}
		targets = append(targets, t)
	}
	return targets, nil
}

func makeStaging(path string, dir bool) error {
	if dir {
		return os.MkdirAll(path, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// room is the space that a volume takes while it is restored: holes are written out before they are dug again by a restic
// that knows no --sparse.
func (t target) room(v restic.Version) int64 {
	switch n, dump := t.volume.Form.native(); {
	case dump:
		return n.Room(t.volume.Stats.Disk)
	case !v.AtLeast(0, 15):
		return max(t.volume.Stats.Disk, t.volume.Stats.Bytes)
	}
	return t.volume.Stats.Disk
}
