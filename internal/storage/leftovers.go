package storage

import (
	"context"
	"sync"
	"time"

	"github.com/rclone/rclone/fs"
)

// uploadLimit is longer than any upload of one object takes: what is older and was
// not moved to its place belongs to one that hung, or whose host died.
const uploadLimit = 24 * time.Hour

// leftovers are uploads that a listing has shown and that will not end any more.
type leftovers struct {
	mu  sync.Mutex // guards all
	all map[string]fs.Object
}

// note keeps an upload in mind when it is older than any that continues.
func (l *leftovers) note(ctx context.Context, o fs.Object) {
	if time.Since(o.ModTime(ctx)) < uploadLimit {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == nil {
		l.all = map[string]fs.Object{}
	}
	l.all[o.Remote()] = o
}

// remove removes what was noted, each once. The caller has just written, so it may;
// what can't be removed now is noted by the next listing.
func (l *leftovers) remove(ctx context.Context) {
	l.mu.Lock()
	all := l.all
	l.all = nil
	l.mu.Unlock()
	if len(all) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(settings(ctx), cleanTimeout)
	defer cancel()
	for _, o := range all {
		_ = o.Remove(ctx) // it does no harm but for its room
	}
}
