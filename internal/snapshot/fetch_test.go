package snapshot

import "testing"

// TestALongDownloadSaysLittle: what a host says in one answer is limited, so that one that
// lasts for days must not say every half second how far it is.
func TestALongDownloadSaysLittle(t *testing.T) {
	t.Parallel()
	times, last := 0, int64(0)
	say := inParts(func(done, _ int64) { times, last = times+1, done })
	const total = 500_000
	for done := range int64(total + 1) {
		say(done, total)
		say(done, total) // restic repeats itself while it waits
	}
	if times != parts || last != total {
		t.Errorf("said %d times, at last %d of %d", times, last, total)
	}
}
