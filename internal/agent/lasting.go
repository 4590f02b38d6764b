package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/finding"
	"salvor/internal/runlock"
	"salvor/internal/snapshot"
)

// takingIt is what the lock of a stack says while a snapshot of it is taken.
const takingIt = "snapshot"

// takeLimit bounds one snapshot: what was uploaded by then stays, and the next
// continues from there.
const takeLimit = 72 * time.Hour

var errTakeLimit = errors.New("the snapshot was given up after " + takeLimit.String() + "; its uploads are kept, and the " +
	"next snapshot continues from there")

// takeWithin takes a snapshot, within the limit.
func takeWithin(ctx context.Context, engine snapshot.Engine, job snapshot.Job) (snapshot.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, takeLimit, errTakeLimit)
	defer cancel()
	result, err := engine.Take(ctx, job)
	if err != nil && errors.Is(context.Cause(ctx), errTakeLimit) {
		err = errTakeLimit
	}
	return result, err
}

// lasting says that a snapshot of a stack has been under way for long.
func (k *keeper) lasting(host, stack string, now time.Time) []finding.Finding {
	holder, held := runlock.Held(k.Paths.Run, stackLock(stack))
	if !held || holder.Owner != daemon || holder.Message != takingIt || now.Sub(holder.Since) < takerTurn {
		return nil
	}
	return []finding.Finding{{
		Code: finding.SnapshotLasts, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: fmt.Sprintf("its data has been read for a snapshot since %s; no newer snapshot starts until that ends", holder.Since.UTC().Format(time.RFC3339)),
		Fix:  "wait, or look at what is in the volume: du -h --apparent-size",
	}}
}
