package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/secret/agekey"
)

// Salvor's own files on a host may be lost, damaged, or from a newer salvord.
// What can't be read is as good as none: what it said is asked of Git, the claims
// and the data itself. Where that does not do, only the stack that the file is
// about waits for a person.

// Spec returns what the host was last asked to be; an unprepared host was asked
// for nothing. Where the file in Config is lost or damaged, its copy in State
// counts.
func (h *base) Spec() (agentapi.Host, error) {
	spec, err := readSpec(h.Paths.Spec())
	if err == nil {
		return spec, nil
	}
	kept, keptErr := readSpec(h.Paths.SpecCopy())
	switch {
	case keptErr == nil:
		return kept, nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(keptErr, fs.ErrNotExist):
		return agentapi.Host{}, nil
	}
	return agentapi.Host{}, err
}

// specDamage says why what the host was last asked to be has to be written again,
// nil for a host that was asked for nothing.
func (h *base) specDamage() error {
	_, err := readSpec(h.Paths.Spec())
	if errors.Is(err, fs.ErrNotExist) {
		if _, copyErr := readSpec(h.Paths.SpecCopy()); copyErr != nil {
			return nil
		}
	}
	return err
}

func readSpec(path string) (agentapi.Host, error) {
	var spec agentapi.Host
	err := readJSON(path, &spec)
	if err == nil {
		err = readable(path, spec.Schema)
	}
	if err != nil {
		return agentapi.Host{}, err
	}
	return spec, nil
}

func (h *base) saveSpec(spec agentapi.Host) error {
	spec.Schema = agentapi.Schema
	spec.Stacks = slices.Clone(spec.Stacks)
	for i := range spec.Stacks {
		// was said for one apply, not for every boot after it
		spec.Stacks[i].Consent, spec.Stacks[i].AcceptLoss = "", false
	}
	return errors.Join(writeJSON(h.Paths.Spec(), spec), writeJSON(h.Paths.SpecCopy(), spec))
}

// local returns what the host remembers of a stack; what can't be read counts as an
// epoch of 0, at which nothing is started while neither Git nor the record answers.
func (h *base) local(stack string) Local {
	l := Local{Schema: agentapi.Schema}
	err := readJSON(h.Paths.Placement(stack), &l)
	if errors.Is(err, fs.ErrNotExist) {
		return l
	}
	if err == nil {
		err = readable(h.Paths.Placement(stack), l.Schema)
	}
	if err != nil {
		return Local{Schema: agentapi.Schema, Unread: err.Error()}
	}
	return l
}

func (h *base) saveLocal(stack string, l Local) error {
	l.Schema = agentapi.Schema
	return writeJSON(h.Paths.Placement(stack), l)
}

// saveNote is saveLocal for a stack that starts in any case: a full disk must not
// keep it down.
func (r *run) saveNote(stack string, l Local) {
	err := r.saveLocal(stack, l)
	if err == nil {
		return
	}
	r.warn(stack, finding.Finding{
		Code: finding.DiskFull, Severity: finding.Warning, Subject: r.spec.Name + "/" + stack,
		Text: "the host could not write down what runs here: " + err.Error(), Fix: "make room on " + r.spec.Name + ", then salvor apply",
	})
}

// known returns the stacks that ran here and were not lost, sorted.
func (h *base) known() ([]string, error) {
	files, err := filepath.Glob(h.Paths.Placement("*"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		l := h.local(name)
		if (l.Epoch > 0 || l.Unread != "") && !l.Lost {
			names = append(names, name)
		}
	}
	return names, nil
}

// readJSON reads a file; fs.ErrNotExist when there is none.
func readJSON(path string, v any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// readable reports why a file of some schema can't be read by this salvord.
func readable(path string, schema int) error {
	if schema < 1 || schema > agentapi.Schema {
		return fmt.Errorf("%s has schema %d, this salvord reads %d", path, schema, agentapi.Schema)
	}
	return nil
}

// A stamp is the schema of a file of State about one stack.
type stamp struct {
	Schema int `json:"schema"`
}

func (s *stamp) mark() { s.Schema = agentapi.Schema }

// readNote returns what such a file says; one that can't be read counts as none.
func readNote[T any](path string) T {
	var s stamp
	var note, none T
	if readJSON(path, &s) != nil || readable(path, s.Schema) != nil || readJSON(path, &note) != nil {
		return none
	}
	return note
}

func writeNote(path string, note interface{ mark() }) error {
	note.mark()
	return writeJSON(path, note)
}

func writeJSON(path string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, strings.NewReader(string(content)+"\n"), 0o600)
}

// past returns a time that was noted here, and none for one that is in the future:
// the clock was wrong then, or is now.
func past(noted, now time.Time) time.Time {
	if noted.After(now.Add(clockSkew)) {
		return time.Time{}
	}
	return noted
}

// clockSkew is how far a clock may be set back without anything being forgotten.
const clockSkew = time.Minute

// noteFindings says which of Salvor's own files on this host can't be read or
// written, and what that needs.
func (h *Host) noteFindings(spec agentapi.Host) []finding.Finding {
	found := slices.Concat(h.keyFindings(spec), h.sealFindings(spec), GitFindings(h.base(), spec, time.Now()))
	if full := diskFull(h.Paths.State); full != "" {
		found = append(found, finding.Finding{
			Code: finding.DiskFull, Severity: finding.Warning, Subject: spec.Name,
			Text: full + ": Salvor can't write its notes and its journal, and takes no snapshots", Fix: "make room on " + spec.Name,
		})
	}
	if damage := h.base().specDamage(); damage != nil {
		found = append(found, unreadable(spec.Name, damage.Error()))
	}
	for _, st := range spec.Stacks {
		if local := h.base().local(st.Name); local.Unread != "" {
			found = append(found, unreadable(spec.Name+"/"+st.Name, local.Unread))
		}
		var k kept
		if err := readJSON(h.keeper().keptPath(st.Name), &k); err != nil && !errors.Is(err, fs.ErrNotExist) {
			found = append(found, unreadable(spec.Name+"/"+st.Name, err.Error()))
		}
		for _, v := range h.base().at(spec, st).protected() {
			if m := h.Snapshots.Marker(st.Name, v.Name); m.Unread != "" {
				found = append(found, unreadable(spec.Name+"/"+st.Name+"/"+v.Name, "its marker: "+m.Unread))
			}
		}
	}
	return found
}

func unreadable(subject, why string) finding.Finding {
	return finding.Finding{Code: finding.NoteUnreadable, Severity: finding.Warning, Subject: subject, Text: "one of " +
		"Salvor's own files can't be read and is treated as missing: " + why, Fix: "salvor apply"}
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
	lost("the host's identity can't be read, so it cannot open files that are sealed to it", err)
	_, err = h.base().signing()
	lost("the host's signing key can't be read, so its reports do not count", err)
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
