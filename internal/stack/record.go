package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"path"
	"time"

	"salvor/internal/hostpath"
	"salvor/internal/project"
)

// A Record is what a host remembers of a stack's last deploy that became healthy. It
// is in the stack's folder as deployed.json; project.json next to it has the whole
// project, so that it can be put back.
type Record struct {
	Schema   int                 `json:"schema"`
	Hash     string              `json:"hash"` // of the project, before images were pinned
	Epoch    int                 `json:"epoch"`
	Commit   string              `json:"commit"`
	At       time.Time           `json:"at"`
	Dir      string              `json:"dir"`
	Images   map[string]string   `json:"images,omitempty"` // service to pinned reference
	Services map[string]Expected `json:"services"`
}

// Expected is what a service looked like when the deploy was done.
type Expected struct {
	Running int    `json:"running"` // containers; 0 for one that ran to its end
	Hash    string `json:"hash"`
}

const (
	recordFile   = "deployed.json"
	projectFile  = "project.json"
	previousFile = "previous.json"
)

// pinnedProject is a project with the pins it ran with.
type pinnedProject struct {
	Project project.Project   `json:"project"`
	Images  map[string]string `json:"images,omitempty"`
}

// Deployed returns the record of a stack's last good deploy and whether there
// is one.
func (h *Host) Deployed(ctx context.Context, stack string) (Record, bool, error) {
	var r Record
	ok, err := h.readJSON(ctx, path.Join(hostpath.Default().Project(stack), recordFile), &r)
	return r, ok, err
}

// DeployedCompose returns the rendered compose.yaml of a stack's last good
// deploy, without the pins; nil when there is none.
func (h *Host) DeployedCompose(ctx context.Context, stack string) ([]byte, error) {
	k, _, err := h.lastGood(ctx, stack)
	return k.Project.Compose, err
}

// lastGood returns the project that ran before.
func (h *Host) lastGood(ctx context.Context, stack string) (pinnedProject, bool, error) {
	var k pinnedProject
	ok, err := h.readJSON(ctx, path.Join(hostpath.Default().Project(stack), projectFile), &k)
	return k, ok, err
}

// writeRecord writes the record of a deploy that became healthy. The record comes
// last: without it the deploy is done again.
func (h *Host) writeRecord(ctx context.Context, stack string, k pinnedProject, r Record) error {
	dir := hostpath.Default().Project(stack)
	if before, err := h.machine.ReadFile(ctx, path.Join(dir, projectFile)); err == nil {
		if err := h.machine.WriteFile(ctx, path.Join(dir, previousFile), bytes.NewReader(before), 0o600); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := h.writeJSON(ctx, path.Join(dir, projectFile), k); err != nil {
		return err
	}
	return h.writeJSON(ctx, path.Join(dir, recordFile), r)
}

func (h *control) readJSON(ctx context.Context, file string, into any) (bool, error) {
	content, err := h.machine.ReadFile(ctx, file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// a record that is damaged is as good as none: the deploy is done again
	return json.Unmarshal(content, into) == nil, nil
}

func (h *control) writeJSON(ctx context.Context, file string, v any) error {
	content, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return h.machine.WriteFile(ctx, file, bytes.NewReader(append(content, '\n')), 0o600)
}
