package startup

import (
	"context"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
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
func (r *Run) probe(ctx context.Context, s *here.Stack) {
	within, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	for _, v := range s.Protected() {
		for _, f := range r.probeVolume(within, s, v) {
			f.Subject = r.Spec.Name + "/" + f.Subject
			r.Warn(s.Name, f)
		}
	}
}

// probeVolume asks until the database answers or time is up: a database that
// never answers is not the subject here.
func (r *Run) probeVolume(ctx context.Context, s *here.Stack, v snapshot.Volume) []finding.Finding {
	for {
		found, answered := snapshot.ProbeDump(ctx, keeper.Quiet{Host: r.Host, Stack: s.Name}, s.Name, v)
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
