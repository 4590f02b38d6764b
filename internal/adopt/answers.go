package adopt

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/check"
	"salvor/internal/controlrepo"
	"salvor/internal/envimport"
	"salvor/internal/fleet"
	"salvor/internal/project"
)

// answer says what the mounts are that nothing was said of, and which networks the stacks join,
// and finds what is still in the way.
func (w *work) answer(ctx context.Context) error {
	stacks, _, err := w.render(ctx)
	if err == nil {
		err = w.answerAround(stacks)
	}
	if err == nil {
		stacks, _, err = w.render(ctx)
	}
	if err == nil {
		err = w.edit(fleet.File, func(content []byte) ([]byte, error) { return w.withBinds(content, stacks) })
	}
	if err == nil {
		err = w.edit(fleet.File, func(content []byte) ([]byte, error) { return w.withNetworks(content, stacks) })
	}
	if err == nil {
		err = w.answerVolumes(stacks)
	}
	if err != nil {
		return err
	}
	if stacks, _, err = w.render(ctx); err == nil {
		err = w.answerAbsent(stacks)
	}
	if err != nil {
		return err
	}
	_, found, err := w.render(ctx)
	for i := range w.receipt.Stacks {
		w.describe(&w.receipt.Stacks[i], found)
	}
	return err
}

// edit changes a file of the commit, and shows the change.
func (w *work) edit(file string, change func([]byte) ([]byte, error)) error {
	before, err := w.checkout.File(file)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil || bytes.Equal(before, after) {
		return err
	}
	if i := slices.IndexFunc(w.receipt.Changes, func(c envimport.FileChange) bool { return c.Path == file }); i >= 0 {
		w.receipt.Changes[i].After = after
	} else {
		w.receipt.Changes = append(w.receipt.Changes, envimport.FileChange{Path: file, Before: before, After: after})
	}
	return w.put(map[string][]byte{file: after})
}

// answerAround leaves folders out of a stack's snapshots that hold other projects' folders, as
// Dockge's has them all: their data is theirs, and a restore would put old data over it. It is
// said for the stack alone, since what is in them is saved with the others.
func (w *work) answerAround(stacks map[string]project.Rendered) error {
	for i, name := range w.stacks() {
		st, _ := w.checkout.Fleet.Stack(name)
		for _, m := range w.mounts[name] {
			asked := slices.ContainsFunc(stacks[name].Asked, func(q project.Asked) bool { return q.Folder != "" && fleet.Within(q.Folder, m.Source) })
			others := around(m.Source, st.ProjectDir, w.folders)
			if !asked || len(others) == 0 {
				continue
			}
			w.receipt.Stacks[i].Notes = append(w.receipt.Stacks[i].Notes, fmt.Sprintf("%s holds the folders of other projects (%s), so it is in no snapshot of %s: each is saved with its own stack", m.Source, listed(others), name))
			if err := w.say(name, project.Asked{Volume: m.Source, Proposed: fleet.None}); err != nil {
				return err
			}
		}
	}
	return nil
}

// around are the names of the projects' folders that lie in a folder, but for one's own.
func around(folder, own string, all []string) []string {
	var others []string
	for _, dir := range all {
		if dir != own && dir != folder && fleet.Within(folder, dir) {
			others = append(others, path.Base(dir))
		}
	}
	slices.Sort(others)
	return slices.Compact(others)
}

// withBinds returns fleet.yaml with the proposed answer to every question about a folder. One
// answer covers what is in its folder.
func (w *work) withBinds(content []byte, stacks map[string]project.Rendered) ([]byte, error) {
	var all []project.Asked
	var mounts []agentapi.FoundMount
	for _, name := range w.stacks() {
		all = append(all, slices.DeleteFunc(slices.Clone(stacks[name].Asked), func(q project.Asked) bool { return q.Folder == "" })...)
		mounts = append(mounts, w.mounts[name]...)
	}
	slices.SortStableFunc(all, func(a, b project.Asked) int { return cmp.Compare(len(a.Folder), len(b.Folder)) })
	for _, q := range all {
		q.Proposed = proposed(q, mounts)
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
		if a.Folder != "" && fleet.Within(a.Folder, q.Folder) {
			return a.Proposed == q.Proposed
		}
	}
	return false
}

// proposed is what a folder of the host probably is, now that it was looked at: an empty one
// of the host's own disk is not kept elsewhere, and a stack would wait for it to be mounted.
func proposed(q project.Asked, mounts []agentapi.FoundMount) fleet.Protection {
	there := slices.ContainsFunc(mounts, func(m agentapi.FoundMount) bool {
		return fleet.Within(q.Folder, m.Source) && (m.Unmounted || !m.Absent && (m.Mounted || m.Files > 0))
	})
	if q.Proposed == fleet.External && !there {
		return fleet.Snapshot
	}
	return q.Proposed
}

// withNetworks returns fleet.yaml with the networks that stacks join and that nothing makes.
func (w *work) withNetworks(content []byte, stacks map[string]project.Rendered) ([]byte, error) {
	for _, name := range w.stacks() {
		st, _ := w.checkout.Fleet.Stack(name)
		for _, n := range check.Unmade(w.checkout.Repository, stacks, st) {
			var err error
			if content, err = controlrepo.SetNetwork(content, n.Name); err != nil {
				return nil, err
			}
		}
	}
	return content, nil
}

// answerVolumes says in the stacks' own files what volumes are that are not a folder.
func (w *work) answerVolumes(stacks map[string]project.Rendered) error {
	for i, name := range w.stacks() {
		for _, q := range stacks[name].Asked {
			if q.Volume == "" {
				continue
			}
			var note string
			if q, note = w.sharedVolume(name, q, stacks); note != "" {
				w.receipt.Stacks[i].Notes = append(w.receipt.Stacks[i].Notes, note)
			}
			if err := w.say(name, q); err != nil {
				return err
			}
		}
	}
	return nil
}

// sharedVolume is what is proposed for a volume, now that it is known who has it: one that
// another stack saves is kept there, and for one that only other projects have, too, a person
// has to say who saves it.
func (w *work) sharedVolume(stack string, q project.Asked, stacks map[string]project.Rendered) (_ project.Asked, note string) {
	i := slices.IndexFunc(w.mounts[stack], func(m agentapi.FoundMount) bool { return q.Docker != "" && m.Volume == q.Docker && len(m.SharedBy) > 0 })
	if i < 0 {
		return q, ""
	}
	saves := func(v project.Volume) bool { return v.Docker == q.Docker && v.Protect == fleet.Snapshot }
	for _, st := range w.checkout.Fleet.Stacks {
		if st.Name != stack && slices.ContainsFunc(stacks[st.Name].Volumes, saves) {
			q.Proposed = fleet.External
			return q, fmt.Sprintf("volume %s is saved with stack %s", q.Docker, st.Name)
		}
	}
	q.Proposed = ""
	return q, fmt.Sprintf("volume %s is also mounted by %s: one of them saves it (snapshot), for the others it is external", q.Docker, listed(w.mounts[stack][i].SharedBy))
}

// answerAbsent has folders saved that are the host's own and empty, and in what is kept
// elsewhere: the stack would wait for them to be mounted, at its next deploy.
func (w *work) answerAbsent(stacks map[string]project.Rendered) error {
	for i, name := range w.stacks() {
		for _, v := range stacks[name].Volumes {
			at := slices.IndexFunc(w.mounts[name], func(m agentapi.FoundMount) bool { return m.Source == v.Path && m.Absent })
			if v.Protect != fleet.External || v.Path == "" || at < 0 {
				continue
			}
			if w.mounts[name][at].Unmounted {
				w.receipt.Stacks[i].Notes = append(w.receipt.Stacks[i].Notes, v.Path+" is not mounted, and the host says that it is to be: the next deploy waits for it")
				continue
			}
			if err := w.say(name, project.Asked{Volume: v.Path, Proposed: fleet.Snapshot}); err != nil {
				return err
			}
		}
	}
	return nil
}

// say writes into a stack's own file what a mount is; nothing where that is not known.
func (w *work) say(stack string, q project.Asked) error {
	if q.Proposed == "" {
		return nil
	}
	st, _ := w.checkout.Fleet.Stack(stack)
	w.receipt.Answered = append(w.receipt.Answered, q)
	return w.edit(path.Join(st.Dir, st.File), func(content []byte) ([]byte, error) { return controlrepo.SetVolume(content, q.Volume, q.Proposed) })
}
