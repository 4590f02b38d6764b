package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
)

// removeSetAside deletes what was moved aside and is, exactly as it was, in a
// snapshot of this repository, as read from the remote.
func (k *Keeper) removeSetAside(ctx context.Context, repo snapshot.Repository, s *here.Stack, t Taking) error {
	if t.Keep {
		return nil
	}
	var held []snapshot.Volume
	for _, v := range s.Protected() {
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
	listed, err := snapshot.List(ctx, repo)
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

// SetAsideFindings lists what was moved aside from a stack's volumes and stays.
func (k *Keeper) SetAsideFindings(s *here.Stack) []finding.Finding {
	var found []finding.Finding
	for _, v := range s.Protected() {
		kept, err := snapshot.KeptOf(v)
		if err != nil {
			continue // the volume's own findings say what is wrong with its folder
		}
		for _, k := range kept {
			stats, err := k.Stats()
			if err == nil && stats.Bytes == 0 && stats.Disk == 0 {
				continue // Docker had made the volume, and nothing was written to it
			}
			size := "of unknown size"
			if err == nil {
				size = fmt.Sprintf("%.1f MiB", float64(stats.Disk)/(1<<20))
			}
			found = append(found, keptFinding(s.Spec.Name+"/"+s.Name+"/"+v.Name, s.Name, size, k))
		}
	}
	return found
}

func keptFinding(subject, stack, size string, k snapshot.Kept) finding.Finding {
	held := "it is not in any snapshot in its present state"
	if k.Snapshot != "" {
		held = fmt.Sprintf("snapshot %.8s contains it; the next good snapshot removes it here", k.Snapshot)
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

// TakeDiverged takes a snapshot of what was moved aside last and no snapshot
// holds. It is tagged diverged: restore brings it back only by its id.
func (k *Keeper) TakeDiverged(ctx context.Context, s *here.Stack, sink progress.Sink) (receipt agentapi.SnapshotReceipt, err error) {
	lock, err := here.LockAlone(ctx, k.Host, s.Name, here.Daemon, takingSnapshot)
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
	s, err = s.Open()
	if err != nil {
		return receipt, err
	}
	repo, err := ArchiveOf(s).made(ctx, s.Targets[0])
	if err == nil && repo == nil {
		err = fault.WithHint(fmt.Errorf("stack %s has no snapshot yet", s.Name), "salvor snapshot take "+s.Name)
	}
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, repo.Close(ctx)) }()
	job, err := k.job(ctx, s, repo.Repository, Taking{Accept: true, Stopped: true, Force: true})
	if err != nil {
		return receipt, err
	}
	job.Volumes, job.Diverged = volumes, true
	engine := k.Snapshots
	engine.Progress = sink
	result, err := takeWithin(ctx, engine, job)
	receipt = receiptOf(s.Stack, result)
	k.Enter(journal.Entry{Kind: "snapshot", Stack: s.Name, Commit: s.Spec.Commit, Text: "of diverged data: " + receipt.Verified, Error: here.ErrorText(err)})
	for _, k := range kept {
		if err == nil {
			err = k.Hold(receipt.Snapshot.ID)
		}
	}
	return receipt, err
}

// diverged returns the volumes as they were moved aside last, each without a
// snapshot that holds it.
func (k *Keeper) diverged(s *here.Stack) ([]snapshot.Volume, []snapshot.Kept, error) {
	var volumes []snapshot.Volume
	var newest []snapshot.Kept
	for _, v := range s.Protected() {
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
