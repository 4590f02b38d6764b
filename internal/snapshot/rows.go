package snapshot

import (
	"errors"

	"salvor/internal/agentapi"
)

// ErrMissing is wrapped by errors that mean: a snapshot that is known to have
// been proven is not listed.
var ErrMissing = errors.New("the remote does not list it")

// Rows are a target's snapshots as reports list them, with the one that was proven last where
// it is missing.
func Rows(described []Described, target string, proven Mark) []agentapi.SnapshotRow {
	var rows []agentapi.SnapshotRow
	for _, d := range described {
		rows = append(rows, agentapi.SnapshotRow{
			SnapshotInfo: InfoOf(d.Info, d.Meta), Target: target, Commit: d.Info.Commit,
			Images: d.Meta.Images, Volumes: d.Info.Volumes, Diverged: d.Info.Diverged, Damaged: d.Damaged, Unproven: d.Unproven, Future: d.Future,
		})
	}
	if proven.Missing(Listed(described)) {
		info := agentapi.SnapshotInfo{ID: proven.ID, Epoch: proven.Epoch, Seq: proven.Seq, Began: proven.At}
		rows = append(rows, agentapi.SnapshotRow{SnapshotInfo: info, Target: target, Missing: true, Damaged: ErrMissing.Error()})
	}
	return rows
}

// InfoOf is a snapshot as reports show it.
func InfoOf(i Info, m Meta) agentapi.SnapshotInfo {
	info := agentapi.SnapshotInfo{ID: i.ID, Epoch: i.Epoch, Seq: i.Seq, Began: m.Began}
	if m.Began.IsZero() {
		info.Began = i.Time
	}
	for _, v := range m.Volumes {
		info.Bytes += v.Stats.Bytes
		info.Files += v.Stats.Files
		if v.Form.IsDump() && (info.Loaded.IsZero() || v.Loaded.Before(info.Loaded)) {
			info.Loaded = v.Loaded
		}
	}
	return info
}
