package repository

import (
	"context"
	"iter"
	"sync"
)

// aheadBlobs is how many blobs, of up to 8 MiB each, are read before they are asked for.
const aheadBlobs = fetches

// Ahead returns the content of blobs in the order of their ids. Some are read before they
// are asked for, since a remote answers slowly. After an error there is nothing more, and
// when it has ended nothing is read any more.
func (r *Repository) Ahead(ctx context.Context, ids iter.Seq[string]) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var reading sync.WaitGroup
		defer reading.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		line := make(chan *reader, aheadBlobs)
		reading.Go(func() {
			defer close(line)
			for id := range ids {
				one := &reader{done: make(chan struct{})}
				select {
				case line <- one:
				case <-ctx.Done():
					return
				}
				reading.Go(func() {
					defer close(one.done)
					one.content, one.err = r.Blob(ctx, id)
				})
			}
		})
		for one := range line {
			<-one.done
			if !yield(one.content, one.err) || one.err != nil {
				return
			}
		}
	}
}

// A reader reads one blob.
type reader struct {
	done    chan struct{}
	content []byte
	err     error
}
