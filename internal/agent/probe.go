package agent

import (
	"context"
	"time"

	"salvor/internal/finding"
	"salvor/internal/snapshot"
)

// probeFor is how long a database that was just started may take to answer, where
// no health check says when it does.
const (
	probeFor   = 10 * time.Second
	probeEvery = time.Second
)

// probe warns right after a deploy of databases that can't be dumped, which the
// first snapshot would find out much later.
func (r *run) probe(ctx context.Context, s *Stack) {
	within, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	for _, v := range s.protected() {
		for _, f := range r.probeVolume(within, s, v) {
			f.Subject = r.spec.Name + "/" + f.Subject
			r.warn(s.Name, f)
		}
	}
}

// probeVolume asks until the database answers or time is up: a database that
// never answers is not the subject here.
func (r *run) probeVolume(ctx context.Context, s *Stack, v snapshot.Volume) []finding.Finding {
	for {
		found, answered := snapshot.ProbeDump(ctx, quiet{host: r.base, stack: s.Name}, s.Name, v)
		if answered {
			return found
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(probeEvery):
		}
	}
}
