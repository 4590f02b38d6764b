package keeper

import (
	"context"
	"errors"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/secret"
	"salvor/internal/snapshot"
)

// Decisions says for each protected volume what must happen before the stack
// starts. The repository is asked only when a volume is not ready; without
// access it counts as out of reach.
func (a *Archive) Decisions(ctx context.Context) (map[string]snapshot.Decision, error) {
	facts, unready, err := a.VolumeFacts()
	if err != nil {
		return nil, err
	}
	var listed []listing
	var why error
	if unready && a.Access != nil {
		listed, why = a.ListForRestore(ctx)
	}
	known := map[string]snapshot.History{}
	if unready && a.Access != nil && !errors.Is(why, ErrMissing) {
		known = histories(a.Protected(), listed, why)
	}
	var damaged error // what is left, where nothing of it can be restored
	if len(Candidates(listed)) == 0 {
		damaged = Damaged(listed)
	}
	all := map[string]snapshot.Decision{}
	for name, f := range facts {
		why := why
		if history, ok := known[name]; ok {
			f.History = history
		}
		if f.History == snapshot.HistoryNone && f.Born && damaged != nil {
			f.History, why = snapshot.HistoryUnknown, damaged // it is not lost yet: another copy may be whole
		}
		f.New = a.Access == nil
		f.Ran = f.Ran || takenAt(a.Epoch, name, listed)
		all[name] = explained(snapshot.Decide(f), f, why)
	}
	return all, nil
}

// takenAt reports whether the newest snapshot, damaged or not, has a volume and is of an epoch:
// only the host that holds the claim of an epoch takes snapshots at it, so the
// volume was in use there.
func takenAt(epoch int, volume string, listed []listing) bool {
	var newest snapshot.Info
	for _, l := range listed {
		all := slices.Clone(l.Infos)
		for _, d := range l.Damaged {
			all = append(all, d.Info)
		}
		for _, i := range all {
			if !i.Diverged && snapshot.Compare(i, newest) > 0 {
				newest = i
			}
		}
	}
	return newest.Epoch == epoch && slices.Contains(newest.Volumes, volume)
}

// explained adds to a refusal for want of an answer why there is none: a remote
// that is away is waited for, a password that does not fit is not.
func explained(d snapshot.Decision, f snapshot.Facts, why error) snapshot.Decision {
	if d.Action != snapshot.Refuse || f.History != snapshot.HistoryUnknown || why == nil {
		return d
	}
	if errors.Is(why, secret.ErrLocked) {
		d.Reason = "its data is not ready here, and the password in the sealed file does not open its repository"
		d.Hint = "git log -- sealed/recovery shows when it changed; put the right one back, then salvor apply"
		return d
	}
	if errors.Is(why, ErrMissing) {
		d.Reason, d.Hint = "its data is not ready here, and its newest snapshot is missing", fault.Hint(why)
	} else if snapshot.IsDamage(why) {
		d.Reason = "its data is not ready here, and its repository on the remote is damaged"
		d.Hint = "salvor snapshot ls " + f.Stack + " lists what is lost"
	}
	d.Reason += ": " + why.Error()
	return d
}
