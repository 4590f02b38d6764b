package restic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"salvor/internal/machine"
	"salvor/internal/snapshot/nsexec"
)

// A Restore is one run of `restic restore`.
type Restore struct {
	Snapshot string
	Target   string
	Include  []string // paths in the snapshot, none for everything
	Binds    []nsexec.Bind
	Progress func(done, total int64) // hears how many bytes are written, from restic 0.16 on; nil for no one
}

// Restore writes a snapshot's files below Target. It takes no lock, so it works
// for a host that must not write. What restic could not restore is a
// RestoreError.
func (p Program) Restore(ctx context.Context, repo Repository, r Restore) error {
	args := []string{"restore", r.Snapshot, "--target", r.Target, "--no-lock"}
	for _, path := range r.Include {
		args = append(args, "--include", path)
	}
	if p.Version.AtLeast(0, 15) {
		args = append(args, "--sparse")
	}
	var report restoreReport
	err := p.run(ctx, repo, call{args: args, binds: r.Binds, stdout: &lineWriter{each: r.status}, stderr: &lineWriter{each: report.line}})
	var exit *machine.ExitError
	if errors.As(err, &exit) && len(report.lines) > 0 {
		return &RestoreError{Code: exit.Code, Lines: report.lines, More: report.more}
	}
	return err
}

// status passes on how far restic has come.
func (r Restore) status(line []byte) {
	var l struct {
		Type  string `json:"message_type"`
		Done  int64  `json:"bytes_restored"`
		Total int64  `json:"total_bytes"`
	}
	if r.Progress != nil && json.Unmarshal(line, &l) == nil && l.Type == "status" && l.Total > 0 {
		r.Progress(l.Done, l.Total)
	}
}

// A RestoreError is a restore of which restic said what went wrong.
type RestoreError struct {
	Code  int
	Lines []string // restic's own, each once
	More  int      // how many others there were
}

// Error implements error.
func (e *RestoreError) Error() string {
	text := fmt.Sprintf("restic restore: exit %d: %s", e.Code, strings.Join(e.Lines, "; "))
	if e.More > 0 {
		text += fmt.Sprintf("; and %d more", e.More)
	}
	return text
}

var (
	fullDisk = regexp.MustCompile(`no space left on device|disk quota exceeded`)
	damage   = regexp.MustCompile(`ciphertext verification failed|does not match|hash mismatch|invalid data returned|does not exist|not found in (repository|index)|unexpected pack|zstd|decompress`)
)

// Full reports whether the disk that was restored to is full.
func (e *RestoreError) Full() bool { return slices.ContainsFunc(e.Lines, fullDisk.MatchString) }

// Damaged reports whether the repository is: what it holds is lost or changed.
func (e *RestoreError) Damaged() bool {
	return !e.Full() && slices.ContainsFunc(e.Lines, damage.MatchString)
}

// maxRestoreLines is how many of restic's complaints are kept: the first say
// what the others follow from.
const maxRestoreLines = 3

// restoreReport gathers what restic says on standard error, as text up to 0.16
// and as JSON from then on.
type restoreReport struct {
	lines []string
	more  int
}

func (r *restoreReport) line(line []byte) {
	text := complaint(line)
	switch {
	case text == "" || slices.Contains(r.lines, text):
	case len(r.lines) < maxRestoreLines:
		r.lines = append(r.lines, text)
	default:
		r.more++
	}
}

// complaint is what a line of restic's says, "" for what only counts or follows.
func complaint(line []byte) string {
	text := strings.TrimSpace(string(line))
	var l struct {
		Type  string `json:"message_type"`
		Item  string `json:"item"`
		Error struct {
			Message string `json:"message"`
		} `json:"error"`
		Message string `json:"message"`
	}
	if json.Unmarshal(line, &l) == nil {
		text = l.Message
		if l.Error.Message != "" {
			text = l.Error.Message
		}
		if l.Item != "" {
			text = l.Item + ": " + text
		}
	}
	text = strings.TrimPrefix(strings.TrimPrefix(text, "ignoring error for "), "Fatal: ")
	if strings.HasPrefix(text, "There were ") || strings.Contains(text, "UtimesNano") {
		return ""
	}
	return text
}
