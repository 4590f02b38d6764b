package terminal

import (
	"testing"
	"time"
)

func TestQuantities(t *testing.T) {
	durations := map[time.Duration]string{400 * time.Millisecond: "0.4s", 12 * time.Second: "12s", 185 * time.Second: "3m 05s", 130 * time.Minute: "2h 10m", 76 * time.Hour: "3d 4h"}
	for d, want := range durations {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v) = %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{time.Hour: "1h", 15 * time.Minute: "15m", 90 * time.Minute: "1h30m", 30 * time.Second: "30s", 10 * time.Hour: "10h"} {
		if got := Rough(d); got != want {
			t.Errorf("Rough(%v) = %q, want %q", d, got, want)
		}
	}
	sizes := map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 5 << 30: "5.0 GiB", 3 << 50: "3072.0 TiB"}
	for n, want := range sizes {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0 stacks", 1: "1 stack", 2: "2 stacks"} {
		if got := Count(n, "stack"); got != want {
			t.Errorf("Count(%d) = %q, want %q", n, got, want)
		}
	}
}
