package snapshot

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestRoomIsAddedUpOverStacks is one of the smaller faults of issue 10: two stacks of
// 60 MB on 110 MB both began, and failed both.
func TestRoomIsAddedUpOverStacks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := int64(110 << 10)
	room := &Room{free: func(string) (int64, error) { return free, nil }}
	of := func(name string, need int64) []share {
		return []share{{volume: name, paths: []string{filepath.Join(dir, name)}, need: need}}
	}
	first, err := room.reserve(of("first", 60<<10))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := room.reserve(of("second", 60<<10)); !errors.Is(err, ErrNoRoom) {
		t.Errorf("the second of 60 KiB on 110 KiB: %v", err)
	}
	// what is written already is not counted twice
	writeZeros(t, filepath.Join(dir, "first", "file"), 48<<10)
	free -= written(filepath.Join(dir, "first"))
	third, err := room.reserve(of("third", 40<<10))
	if err != nil {
		t.Errorf("40 KiB beside one that has nearly ended: %v", err)
	}
	third()
	first()
	if _, err := room.reserve(of("second", 50<<10)); err != nil {
		t.Errorf("after the others have ended: %v", err)
	}
}

// TestAFullDiskIsGivenBack: what a download that can't succeed has staged kept the
// other stacks from starting.
func TestAFullDiskIsGivenBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	free := int64(4 << 10)
	room := &Room{free: func(string) (int64, error) { return free, nil }}
	shares := []share{{volume: "data", paths: []string{filepath.Join(dir, "volume-data.dump"), filepath.Join(dir, "volume-data")}, need: 60 << 10}}
	writeZeros(t, filepath.Join(dir, "volume-data.dump", "file"), 20<<10)
	if err := room.giveUp(shares); !errors.Is(err, ErrNoRoom) {
		t.Errorf("ended with %v", err)
	}
	if left := written(dir + "/volume-data.dump"); left > 0 {
		t.Errorf("%d bytes stay in the way of others", left)
	}
	// a line that was cut is gone on with
	writeZeros(t, filepath.Join(dir, "volume-data.dump", "file"), 20<<10)
	free = 100 << 10
	if err := room.giveUp(shares); err != nil || written(dir+"/volume-data.dump") == 0 {
		t.Errorf("what fits was thrown away: %v", err)
	}
	var none *Room
	if err := none.giveUp(shares); err != nil {
		t.Error(err)
	}
}

func writeZeros(t *testing.T, file string, size int) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, make([]byte, size), 0o600)); err != nil {
		t.Fatal(err)
	}
}
