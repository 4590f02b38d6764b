package mounter

import (
	"sync"
	"time"

	"salvor/internal/mount"
)

// What a look at the cache found is relied on for a while, with what was written since
// counted to it, and shorter where there would be no room.
const (
	looked = time.Second
	relook = 100 * time.Millisecond
)

// A room says whether more may be written into a cache: what is not on the remote yet is
// never evicted, so it must not be more than the cache may hold.
type room struct {
	cache string
	most  int64 // that may wait for the remote
	free  int64 // that stays free on the disk, whatever is evicted

	mu      sync.Mutex
	at      time.Time     // of the last look
	every   time.Duration // until the next
	waiting int64         // by the last look, and what was written since
	left    int64         // above free
}

// take reports whether n more bytes have room.
func (r *room) take(n int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.fits(n) && time.Since(r.at) > relook || time.Since(r.at) > r.every {
		r.look()
	}
	if !r.fits(n) {
		return false
	}
	r.waiting += n
	r.left -= n
	return true
}

func (r *room) fits(n int64) bool { return r.waiting+n <= r.most && n <= r.left }

// look counts. A large cache is looked at less often. r.mu is held.
func (r *room) look() {
	began := time.Now()
	if unsent, err := mount.Look(r.cache); err == nil {
		r.waiting = unsent.Bytes()
	}
	r.left, r.at = mount.Available(r.cache)-r.free, time.Now()
	r.every = max(looked, 20*r.at.Sub(began))
}

// full reports whether the disk itself is full, or is while another program writes to it.
func (r *room) full() bool { return mount.Available(r.cache) < 8<<20 }

// scarce reports whether a write may not have room on the disk for all of it.
func (r *room) scarce() bool { return mount.Available(r.cache) < 64*maxRequest }
