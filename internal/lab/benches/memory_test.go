package benches

import "testing"

func TestPeaks(t *testing.T) {
	got, err := peaks("salvord 1024 2048\n\nsalvord 2048 2048\nsalvord 1024 1024\nrestic 2048 2048\n\nsalvord 1024 0\nrest")
	if want := (usage{salvord: 5, restic: 4}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := peaks("restic 4096 0\n\n"); err == nil {
		t.Error("no salvord, no error")
	}
}
