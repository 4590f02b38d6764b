package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// removeKept deletes what was moved aside and is, exactly as it was, in a
// snapshot of this repository.
func (k *keeper) removeKept(ctx context.Context, repo *opened, s *Stack, t taking) error {
	if t.keep {
		return nil
	}
	var held []snapshot.Volume
	for _, v := range s.protected() {
		kept, err := snapshot.KeptOf(v)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(kept, func(k snapshot.Kept) bool { return k.Snapshot != "" }) {
			held = append(held, v)
		}
	}
	if len(held) == 0 {
		return nil
	}
	listed, err := snapshot.List(ctx, repo.Repository)
	if err != nil {
		return err
	}
	exists := func(id string) bool {
		return slices.ContainsFunc(listed.Infos, func(i snapshot.Info) bool { return i.ID == id })
	}
	var errs []error
	for _, v := range held {
		errs = append(errs, snapshot.RemoveKept(v, exists))
	}
	return errors.Join(errs...)
}

// keptFindings lists what was moved aside from a stack's volumes and stays.
func (k *keeper) keptFindings(s *Stack) []finding.Finding {
	var found []finding.Finding
	for _, v := range s.protected() {
		kept, err := snapshot.KeptOf(v)
		if err != nil {
			continue // the volume's own findings say what is wrong with its folder
		}
		for _, k := range kept {
			found = append(found, keptFinding(s.Spec.Name+"/"+s.Name+"/"+v.Name, s.Name, k))
		}
	}
	return found
}

func keptFinding(subject, stack string, k snapshot.Kept) finding.Finding {
	held := "it is not in any snapshot in its present state"
	if k.Snapshot != "" {
		held = fmt.Sprintf("snapshot %.8s contains it; the next good snapshot removes it here", k.Snapshot)
	}
	size := "of unknown size"
	if bytes, err := k.Size(); err == nil {
		size = fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	f := finding.Finding{
		Code: finding.VolumeKept, Severity: finding.Info, Subject: subject,
		Text: fmt.Sprintf("the data that was here before was moved to %s (%s, %s): %s", k.Path, size, k.At.Format(time.RFC3339), held),
		Fix:  "salvor snapshot take " + stack + " --diverged puts it into a snapshot; if it is not needed: rm -r '" + k.Path + "' on the host",
	}
	if k.Snapshot == "" {
		f.Severity = finding.Warning
	} else {
		f.Fix = "nothing to do"
	}
	return f
}

// takeDiverged takes a snapshot of what was moved aside last and no snapshot
// holds. It is tagged diverged: restore brings it back only by its id.
func (k *keeper) takeDiverged(ctx context.Context, s *Stack, sink progress.Sink) (receipt agentapi.SnapshotReceipt, err error) {
	lock, err := k.lockStack(ctx, s.Name, daemon, takingIt)
	if err != nil {
		return receipt, err
	}
	defer lock.Release()
	volumes, kept, err := k.diverged(s)
	if err != nil {
		return receipt, err
	}
	if len(s.Targets) == 0 {
		return receipt, errors.New("the fleet has no snapshot target")
	}
	s, err = s.open()
	if err != nil {
		return receipt, err
	}
	repo, err := k.made(ctx, s, s.Targets[0])
	if err == nil && repo == nil {
		err = fault.WithHint(fmt.Errorf("stack %s has no snapshot yet", s.Name), "salvor snapshot take "+s.Name)
	}
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, repo.close(ctx)) }()
	job, err := k.job(ctx, s, repo.Repository, taking{accept: true, stopped: true, force: true})
	if err != nil {
		return receipt, err
	}
	job.Volumes, job.Diverged = volumes, true
	engine := k.Snapshots
	engine.Progress = sink
	result, err := takeWithin(ctx, engine, job)
	receipt = receiptOf(s.Stack, result)
	k.record(journal.Entry{Kind: "snapshot", Stack: s.Name, Commit: s.Spec.Commit, Text: "of diverged data: " + receipt.Verified, Error: text(err)})
	for _, k := range kept {
		if err == nil {
			err = k.Hold(receipt.Snapshot.ID)
		}
	}
	return receipt, err
}

// diverged returns the volumes as they were moved aside last, each without a
// snapshot that holds it.
func (k *keeper) diverged(s *Stack) ([]snapshot.Volume, []snapshot.Kept, error) {
	var volumes []snapshot.Volume
	var newest []snapshot.Kept
	for _, v := range s.protected() {
		kept, err := snapshot.KeptOf(v)
		if err != nil {
			return nil, nil, err
		}
		kept = slices.DeleteFunc(kept, func(k snapshot.Kept) bool { return k.Snapshot != "" })
		if len(kept) == 0 {
			return nil, nil, fault.WithHint(fmt.Errorf("stack %s: no data of volume %s was moved aside that is not in a snapshot already", s.Name, v.Name), "salvor "+
				"status lists the data that was moved aside (volume-kept)")
		}
		k := kept[len(kept)-1]
		volumes, newest = append(volumes, snapshot.Volume{Name: v.Name, Path: k.Path, Method: v.Method}), append(newest, k)
	}
	return volumes, newest, nil
}

// takeLast takes a last snapshot of a stack that was stopped for its data to be
// replaced. It is small, since one was taken while the stack ran, and holds what
// was written since, so that what is moved aside need not stay. A database would
// have to be copied whole, so its files stay instead.
func (r *run) takeLast(ctx context.Context, s *Stack) {
	for _, v := range s.protected() {
		if v.Method == fleet.Postgres {
			return
		}
	}
	if _, err := r.takeLocked(ctx, s, taking{stopped: true, sink: r.sink}); err != nil {
		progress.Scope{Sink: r.sink, Stack: s.Name}.Note("the replaced data stays next to the volume: " + err.Error())
	}
}
