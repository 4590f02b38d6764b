package mounter

import (
	"context"
	"time"

	"github.com/rclone/rclone/fs/rc"

	"salvor/internal/mount"
)

// uploadLook is how often a mounter that ends looks at what is left.
const uploadLook = 200 * time.Millisecond

// Upload uploads what waits for it, without waiting for the write-back time or for the next
// try of an upload that failed, and compares the folders that were uploaded to since the start
// with the remote: a damaged file is uploaded again. It returns once everything is on the remote, when the remote
// may not be changed any more, or when ctx ends. A file that is open is not uploaded.
func (m *Mounter) Upload(ctx context.Context) {
	tick := time.NewTicker(uploadLook)
	defer tick.Stop()
	for m.opt.May() {
		if left, err := mount.Look(m.opt.Cache); err == nil && len(left) == 0 {
			if m.compareAll(ctx) {
				return
			}
		}
		for _, s := range m.volumes {
			m.hurry(ctx, s)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// compareAll reports whether nothing has to be uploaded again.
func (m *Mounter) compareAll(ctx context.Context) bool {
	for _, s := range m.volumes {
		_ = m.compare(ctx, s) // where the remote is away: each file was compared after its upload, too
	}
	left, err := mount.Look(m.opt.Cache)
	return err == nil && len(left) == 0
}

// hurry has the uploads of a volume begin now, through rclone's own calls.
func (m *Mounter) hurry(ctx context.Context, s *served) {
	name := rc.Params{"fs": s.Name + ":"}
	out, err := rc.Calls.Get("vfs/queue").Fn(ctx, name)
	if err != nil {
		return // it has no queue yet
	}
	var queue []queued
	if rc.Reshape(&queue, out["queue"]) != nil {
		return
	}
	for _, q := range queue {
		if !q.Uploading && q.Expiry > 0 {
			_, _ = rc.Calls.Get("vfs/queue-set-expiry").Fn(ctx, rc.Params{"fs": s.Name + ":", "id": q.ID, "expiry": -1}) // uploaded meanwhile
		}
	}
}

// queued is one upload that rclone has still to make.
type queued struct {
	ID        int64   `json:"id"`
	Expiry    float64 `json:"expiry"` // seconds until it begins
	Uploading bool    `json:"uploading"`
}
