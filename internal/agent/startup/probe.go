package startup

import (
	"context"
	"time"

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
func (s *Start) probe(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	for _, v := range s.Protected() {
		for _, f := range s.probeVolume(within, v) {
			f.Subject = s.Run.Spec.Name + "/" + f.Subject
			s.Run.Warn(s.Name, f)
		}
	}
}

// probeVolume asks until the database answers or time is up: a database that
// never answers is not the subject here.
func (s *Start) probeVolume(ctx context.Context, v snapshot.Volume) []finding.Finding {
	for {
		found, answered := snapshot.ProbeDump(ctx, keeper.Quiet{Host: s.Host, Stack: s.Name}, s.Name, v)
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
