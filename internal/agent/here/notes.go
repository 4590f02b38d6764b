package here

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/atomicfile"
)

// Salvor's own files on a host may be lost, damaged, or from a newer salvord.
// What can't be read is as good as none: what it said is asked of Git, the claims
// and the data itself. Where that does not do, only the stack that the file is
// about waits for a person.

// ReadSpec returns what the host was last asked to be; an unprepared host was asked
// for nothing. Where the file in Config is lost or damaged, its copy in State
// counts. What the spec refers to is shared: it is not to be changed.
func (h *Host) ReadSpec() (agentapi.Host, error) {
	spec, err := h.specs.read(h.Paths.Spec())
	if err == nil {
		return spec, nil
	}
	kept, keptErr := h.specs.read(h.Paths.SpecCopy())
	switch {
	case keptErr == nil:
		return kept, nil
	case errors.Is(err, fs.ErrNotExist) && errors.Is(keptErr, fs.ErrNotExist):
		return agentapi.Host{}, nil
	}
	return agentapi.Host{}, err
}

// SpecDamage says why what the host was last asked to be has to be written again,
// nil for a host that was asked for nothing.
func (h *Host) SpecDamage() error {
	_, err := h.specs.read(h.Paths.Spec())
	if errors.Is(err, fs.ErrNotExist) {
		if _, copyErr := h.specs.read(h.Paths.SpecCopy()); copyErr != nil {
			return nil
		}
	}
	return err
}

// specs reads files with a spec. The daemon's loops do several times a round, so one
// with the same content as the last is not decoded again.
type specs struct{ last atomic.Pointer[decodedSpec] }

type decodedSpec struct {
	content []byte
	spec    agentapi.Host
}

func (s *specs) read(path string) (agentapi.Host, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return agentapi.Host{}, err
	}
	if last := s.last.Load(); last != nil && bytes.Equal(last.content, content) {
		return last.spec, nil
	}
	var spec agentapi.Host
	if err = decode(path, content, &spec); err == nil {
		err = readable(path, spec.Schema)
	}
	if err != nil {
		return agentapi.Host{}, err
	}
	s.last.Store(&decodedSpec{content, spec})
	return spec, nil
}

// SaveSpec notes what the host is asked to be, in both places.
func (h *Host) SaveSpec(spec agentapi.Host) error {
	spec.Schema = agentapi.Schema
	spec.Stacks = slices.Clone(spec.Stacks)
	for i := range spec.Stacks {
		// was said for one apply, not for every boot after it
		spec.Stacks[i].Consent, spec.Stacks[i].Adopt, spec.Stacks[i].Draft, spec.Stacks[i].AcceptLoss, spec.Stacks[i].From = "", nil, false, false, ""
	}
	return errors.Join(WriteJSON(h.Paths.Spec(), spec), WriteJSON(h.Paths.SpecCopy(), spec))
}

// Local returns what the host remembers of a stack; what can't be read counts as an
// epoch of 0, at which nothing is started while neither Git nor the record answers.
func (h *Host) Local(stack string) Local {
	l := Local{Schema: agentapi.Schema}
	err := ReadJSON(h.Paths.Placement(stack), &l)
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

// SaveLocal notes what the host remembers of a stack.
func (h *Host) SaveLocal(stack string, l Local) error {
	l.Schema = agentapi.Schema
	return WriteJSON(h.Paths.Placement(stack), l)
}

// Known returns the stacks that ran here and were not lost, sorted.
func (h *Host) Known() ([]string, error) {
	files, err := filepath.Glob(h.Paths.Placement("*"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".json")
		l := h.Local(name)
		if (l.Epoch > 0 || l.Unread != "") && !l.Lost {
			names = append(names, name)
		}
	}
	return names, nil
}

// ReadJSON reads a file; fs.ErrNotExist when there is none.
func ReadJSON(path string, v any) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return decode(path, content, v)
}

func decode(path string, content []byte, v any) error {
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
	if ReadJSON(path, &s) != nil || readable(path, s.Schema) != nil || ReadJSON(path, &note) != nil {
		return none
	}
	return note
}

func writeNote(path string, note interface{ mark() }) error {
	note.mark()
	return WriteJSON(path, note)
}

// WriteJSON replaces a file, atomically; its folder is made.
func WriteJSON(path string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(path, strings.NewReader(string(content)+"\n"), 0o600)
}

// Past returns a time that was noted here, and none for one that is in the future:
// the clock was wrong then, or is now.
func Past(noted, now time.Time) time.Time {
	if noted.After(now.Add(clockSkew)) {
		return time.Time{}
	}
	return noted
}

// clockSkew is how far a clock may be set back without anything being forgotten.
const clockSkew = time.Minute
