package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/snapshot"
)

// removeKept deletes what was moved aside and is, exactly as it was, in a
// snapshot of this repository.
func (h *Host) removeKept(ctx context.Context, repo *opened, st agentapi.Stack) error {
	var held []snapshot.Volume
	for _, v := range h.protected(st) {
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
	infos, err := snapshot.List(ctx, repo.Repository)
	if err != nil {
		return err
	}
	exists := func(id string) bool {
		return slices.ContainsFunc(infos, func(i snapshot.Info) bool { return i.ID == id })
	}
	var errs []error
	for _, v := range held {
		errs = append(errs, snapshot.RemoveKept(v, exists))
	}
	return errors.Join(errs...)
}

// keptFindings lists what was moved aside from a stack's volumes and stays.
func (h *Host) keptFindings(host string, st agentapi.Stack) []finding.Finding {
	var found []finding.Finding
	for _, v := range h.protected(st) {
		kept, err := snapshot.KeptOf(v)
		if err != nil {
			continue // the volume's own findings say what is wrong with its folder
		}
		for _, k := range kept {
			found = append(found, keptFinding(host+"/"+st.Name+"/"+v.Name, k))
		}
	}
	return found
}

func keptFinding(subject string, k snapshot.Kept) finding.Finding {
	held := "no snapshot holds it as it is"
	if k.Snapshot != "" {
		held = fmt.Sprintf("snapshot %.8s holds it, the next good snapshot removes it here", k.Snapshot)
	}
	size := "of unknown size"
	if bytes, err := k.Size(); err == nil {
		size = fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20))
	}
	f := finding.Finding{
		Code: finding.VolumeKept, Severity: finding.Info, Subject: subject,
		Text: fmt.Sprintf("what lay here before was moved to %s (%s, %s): %s", k.Path, size, k.At.Format(time.RFC3339), held),
		Fix:  "when nobody misses it: rm -r '" + k.Path + "' on the host",
	}
	if k.Snapshot == "" {
		f.Severity = finding.Warning
	}
	return f
}
