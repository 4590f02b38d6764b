package keeper

import (
	"context"
	"io/fs"
	"path/filepath"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/snapshot"
)

const (
	largeUpload = 16 << 20         // from this size on the time of an upload says how fast the line is
	countWithin = 10 * time.Second // for all that is to be uploaded first
)

// speedOf is how fast a snapshot was uploaded, with the time to read the files: 0 where it was
// too small to say.
func speedOf(r snapshot.Result) int64 {
	var bytes int64
	for _, w := range r.Written {
		bytes += w.Proof.Size
	}
	if bytes < largeUpload || r.Duration <= 0 {
		return 0
	}
	return int64(float64(bytes) / r.Duration.Seconds())
}

// FirstUploads returns what has no snapshot yet on a target, with how much that is. Data that
// is not there yet is left out.
func FirstUploads(ctx context.Context, k *Keeper, spec agentapi.Host) []agentapi.FirstUpload {
	ctx, cancel := context.WithTimeout(ctx, countWithin)
	defer cancel()
	var all []agentapi.FirstUpload
	lines := speeds(k, spec)
	for _, st := range spec.Kept() {
		s := k.At(spec, st)
		moved := st.Epoch > 1 && !st.IsOwn() // then the host before has taken snapshots
		if st.Kept || st.Stopped || moved || s.CheckSources() != nil {
			continue
		}
		notes, counted := ArchiveOf(s).Notes(), false
		var up agentapi.FirstUpload
		for _, t := range st.Targets {
			if _, proven := st.Proven[t.Repository]; proven || !notes[t.Repository].Mark.Zero() {
				continue
			}
			if !counted {
				up.Bytes, up.More = count(ctx, s.Protected())
				counted = true
			}
			if up.Bytes > 0 {
				up.Stack, up.Target, up.Speed = st.Name, t.Name, lines[t.Where.Remote]
				all = append(all, up)
			}
		}
	}
	return all
}

// speeds are how fast this host's last large uploads were, by remote; the fastest repository
// counts.
func speeds(k *Keeper, spec agentapi.Host) map[string]int64 {
	all := map[string]int64{}
	for _, st := range spec.Kept() {
		notes := ArchiveOf(k.At(spec, st)).Notes()
		for _, t := range st.Targets {
			all[t.Where.Remote] = max(all[t.Where.Remote], notes[t.Repository].Speed)
		}
	}
	return all
}

// count returns the size of the volumes' files, or, where ctx ends before that, a part of it and true.
func count(ctx context.Context, volumes []snapshot.Volume) (bytes int64, more bool) {
	for _, v := range volumes {
		_ = filepath.WalkDir(v.Path, func(_ string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return ctx.Err() // what can't be read is said by the snapshot
			}
			if info, err := d.Info(); err == nil {
				bytes += info.Size()
			}
			return ctx.Err()
		})
	}
	return bytes, ctx.Err() != nil
}
