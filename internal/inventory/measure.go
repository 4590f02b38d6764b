package inventory

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"salvor/internal/agentapi"
)

// maxEntries is how many files of one mount are counted: enough to say what is large,
// few enough that an inventory of many mounts takes seconds.
const maxEntries = 200_000

// measure says how much lies at each mount.
func (h Host) measure(ctx context.Context, mounts []agentapi.FoundMount) {
	for i := range mounts {
		mounts[i].Found = h.found(ctx, mounts[i].Source)
	}
}

// found looks at a place, without following links and without leaving its file system.
func (h Host) found(ctx context.Context, source string) agentapi.Found {
	root := h.Root + source
	info, err := os.Stat(root)
	if err != nil {
		return agentapi.Found{}
	}
	device := deviceOf(info)
	own, err := os.Stat(h.Root + "/")
	out := agentapi.Found{Folder: info.IsDir(), Owner: ownerOf(info), Mounted: err == nil && deviceOf(own) != device}
	walk := func(p string, d fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil || out.Files >= maxEntries {
			out.More = true
			if ctx.Err() != nil || out.Files >= maxEntries {
				return fs.SkipAll
			}
			return nil
		}
		info, err := d.Info()
		switch {
		case err != nil: // it is gone
		case deviceOf(info) != device && d.IsDir():
			out.More = true
			return fs.SkipDir
		case info.Mode().IsRegular():
			out.Files++
			out.Bytes += info.Size()
		}
		return nil
	}
	if !out.Folder {
		if info.Mode().IsRegular() {
			out.Files, out.Bytes = 1, info.Size()
		}
		return out
	}
	_ = filepath.WalkDir(root, walk) // walk returns no error but those that end it
	return out
}

func ownerOf(info fs.FileInfo) string {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprintf("%d:%d", s.Uid, s.Gid)
	}
	return ""
}

func deviceOf(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return s.Dev
	}
	return 0
}
