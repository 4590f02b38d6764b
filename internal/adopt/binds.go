package adopt

import (
	"cmp"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// withBinds returns fleet.yaml with the proposed answer to every question. One answer covers
// what is in its folder.
func (w *work) withBinds(content []byte, asked map[string][]project.Asked) ([]byte, error) {
	var all []project.Asked
	for _, name := range w.stacks() {
		all = append(all, asked[name]...)
	}
	slices.SortStableFunc(all, func(a, b project.Asked) int { return cmp.Compare(len(a.Folder), len(b.Folder)) })
	for _, q := range all {
		q.Proposed = proposed(q, w.mounts)
		if w.answered(q) {
			continue
		}
		var err error
		if content, err = controlrepo.SetBind(content, q.Folder, q.Proposed); err != nil {
			return nil, err
		}
		w.receipt.Answered = append(w.receipt.Answered, q)
	}
	return content, nil
}

// answered reports whether the nearest folder that was answered for says the same.
func (w *work) answered(q project.Asked) bool {
	for _, a := range slices.Backward(w.receipt.Answered) {
		if fleet.Within(a.Folder, q.Folder) {
			return a.Proposed == q.Proposed
		}
	}
	return false
}

// proposed is what a folder of the host probably is, now that it was looked at: an empty one
// of the host's own disk is not kept elsewhere, and a stack would wait for it to be mounted.
func proposed(q project.Asked, mounts []agentapi.FoundMount) fleet.Protection {
	there := slices.ContainsFunc(mounts, func(m agentapi.FoundMount) bool {
		return fleet.Within(q.Folder, m.Source) && (m.Mounted || m.Files > 0)
	})
	if q.Proposed == fleet.External && !there {
		return fleet.Snapshot
	}
	return q.Proposed
}
