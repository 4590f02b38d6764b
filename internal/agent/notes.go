package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// noteFindings says which of Salvor's own files on this host can't be read or
// written, and what that needs.
func (h *Host) noteFindings(spec agentapi.Host) []finding.Finding {
	found := slices.Concat(h.keyFindings(spec), h.sealFindings(spec), ownership.GitFindings(h.base(), spec, time.Now()))
	if full := diskFull(h.Paths.State); full != "" {
		found = append(found, finding.Finding{
			Code: finding.DiskFull, Severity: finding.Warning, Subject: spec.Name,
			Text: full + ": Salvor's notes and its journal can't be written, no snapshot is taken", Fix: "make room on " + spec.Name,
		})
	}
	if damage := h.base().SpecDamage(); damage != nil {
		found = append(found, unreadable(spec.Name, damage.Error()))
	}
	for _, st := range spec.Stacks {
		if local := h.base().Local(st.Name); local.Unread != "" {
			found = append(found, unreadable(spec.Name+"/"+st.Name, local.Unread))
		}
		var k keeper.Condition
		if err := here.ReadJSON(h.keeper().ConditionPath(st.Name), &k); err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, unreadable(spec.Name+"/"+st.Name, err.Error()))
		}
		for _, v := range h.base().At(spec, st).Protected() {
			if m := h.Snapshots.Marker(st.Name, v.Name); m.Unread != "" {
				found = append(found, unreadable(spec.Name+"/"+st.Name+"/"+v.Name, "its marker: "+m.Unread))
			}
		}
	}
	return found
}

func unreadable(subject, why string) finding.Finding {
	return finding.Finding{Code: finding.NoteUnreadable, Severity: finding.Warning, Subject: subject, Text: "a file of Salvor's own can't be read and counts as none: " + why, Fix: "salvor apply"}
}

// keyFindings says whether the host can still open what is sealed to it.
func (h *Host) keyFindings(spec agentapi.Host) []finding.Finding {
	sealed := slices.ContainsFunc(spec.Stacks, func(st agentapi.Stack) bool { return len(st.Sealed) > 0 })
	if !sealed {
		return nil
	}
	var found []finding.Finding
	lost := func(text string, err error) {
		if err != nil {
			found = append(found, finding.Finding{
				Code: finding.HostKeyLost, Severity: finding.Warning, Subject: spec.Name, Text: text + ": " + err.Error(),
				Fix: "salvor host add " + spec.Name + " ADDRESS makes a new one, then salvor apply",
			})
		}
	}
	_, err := agekey.OpenHost(h.Paths.Identity())
	lost("the host's identity can't be read, so nothing that is sealed to it opens", err)
	_, err = h.base().Signing()
	lost("the host's signing key can't be read, so nothing that it finds out counts", err)
	return found
}

// room is what Salvor's notes need.
const room = 1 << 20

// diskFull says that a disk has no room for notes, "" where it has.
func diskFull(dir string) string {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return ""
	}
	switch free := int64(st.Bavail) * st.Bsize; {
	case free < room:
		return fmt.Sprintf("the disk with %s is full (%d KiB are free)", dir, free>>10)
	case st.Files > 0 && st.Ffree == 0:
		return "the disk with " + dir + " has no room for another file (no inodes are free)"
	}
	return ""
}
