package snapshot

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"salvor/internal/atomicfile"
	"salvor/internal/fault"
)

// Former returns the volume whose data a renamed one takes over, with its marker: it
// is whole under its former name, or was moved already by a run that was interrupted.
// ok is false where there is none.
func (e Engine) Former(stack string, v Volume, identity string, epoch int) (was Volume, m Marker, ok bool) {
	if v.Formerly == "" || e.Marker(stack, v.Name).State != "" {
		return was, m, false
	}
	m = e.Marker(stack, v.Formerly)
	was = Volume{Name: v.Formerly, Path: m.Path}
	if m.State != MarkedReady || m.Identity != identity || m.Epoch != epoch || ValidVolume(was) != nil {
		return was, m, false
	}
	if m.Place != "" && placeOf(v.Path) == m.Place {
		return was, m, true
	}
	if empty, err := isEmpty(v.Path); err == nil && !empty {
		return was, m, false
	}
	found, err := Look(was, m, identity)
	return was, m, err == nil && found == Marked
}

// Rename moves the data of a volume to where it belongs under its new name. No
// container uses either. The place of the new one is empty; it may be called
// again.
func (e Engine) Rename(stack string, was, now Volume, m Marker) error {
	before := e.Marker(stack, was.Name)
	if before.Place == "" || placeOf(now.Path) != before.Place {
		if err := moveTo(stack, was.Path, now.Path); err != nil {
			return err
		}
	}
	if strings.HasPrefix(was.Path, e.Dirs.Volumes+"/") { // Docker still has a volume there
		if err := os.MkdirAll(was.Path, 0o755); err != nil {
			return err
		}
	}
	m.Snapshot = before.Snapshot
	if err := e.markReady(stack, now, m); err != nil {
		return err
	}
	err := os.Remove(e.markerPath(stack, was.Name))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func moveTo(stack, from, to string) error {
	if err := unix.Rmdir(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", to, err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if errors.Is(err, unix.EXDEV) {
		return fault.WithHint(fmt.Errorf("%s and %s are on different disks, so the renamed volume's data can't be moved", from, to),
			"cp -a "+from+" "+to+" on the host, then salvor apply --take "+stack)
	}
	if err != nil {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(to))
}
