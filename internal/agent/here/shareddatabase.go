package here

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/mount"
)

// lookWithin bounds a look for databases. A remote that does not answer in time keeps no stack from starting.
const lookWithin = 30 * time.Second

// databaseNote is what the last look for databases in a stack's shared volumes found. Losing it costs another look.
type databaseNote struct {
	Day    int    `json:"day"` // of the look, UTC
	Volume string `json:"volume,omitempty"`
	Kind   string `json:"kind,omitempty"` // "" for none
	File   string `json:"file,omitempty"` // in the volume
}

func (s *Stack) databasePath() string { return s.Host.Paths.Placement(s.Name) + ".database" }

func (s *Stack) databaseNote() (n databaseNote) {
	if ReadJSON(s.databasePath(), &n) != nil {
		return databaseNote{}
	}
	return n
}

// refuseDatabase looks for a database in what was mounted, and says why the stack must not start on it.
func (s *Stack) refuseDatabase(ctx context.Context) error {
	n, err := s.lookForDatabase(ctx, s.Host.Edges.Time())
	if err != nil || n.Kind == "" {
		return err
	}
	return fault.WithHint(fmt.Errorf("stack %s is not started: %s", s.Name, n.text()), n.fix()+", then salvor apply")
}

// lookForDatabase looks through the shared volumes to which the stack writes, and notes what it found.
func (s *Stack) lookForDatabase(ctx context.Context, now time.Time) (databaseNote, error) {
	n := databaseNote{Day: dayOf(now)}
	for _, v := range s.Volumes {
		if v.Protect != fleet.Shared || v.ReadOnly() {
			continue
		}
		found, err := lookThrough(ctx, v.Path)
		if err != nil {
			return n, err
		}
		if found.Kind != "" {
			n.Volume, n.Kind, n.File = v.Name, found.Kind, found.File
			break
		}
	}
	return n, WriteJSON(s.databasePath(), n)
}

// lookThrough looks through one folder. What a mount that hangs does not answer is not waited for.
func lookThrough(ctx context.Context, folder string) (mount.Database, error) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	seen := make(chan mount.Database, 1)
	go func() {
		root, err := os.OpenRoot(folder)
		if err != nil {
			seen <- mount.Database{}
			return
		}
		defer root.Close()
		found, _, _ := mount.FindDatabase(ctx, root.FS())
		seen <- found
	}()
	select {
	case found := <-seen:
		return found, nil
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return mount.Database{}, nil
		}
		return mount.Database{}, context.Cause(ctx)
	}
}

func (n databaseNote) text() string {
	return fmt.Sprintf("its shared volume %s has the file %q of a %s database, which would be corrupt after an interruption", n.Volume, n.File, n.Kind)
}

func (n databaseNote) fix() string {
	return fmt.Sprintf("x-salvor.volumes: {%s: {protect: snapshot}} and move its files there; or move %s out of the shared folder", n.Volume, path.Dir(path.Join(n.Volume, n.File)))
}

func (s *Stack) databaseFindings(subject string) []finding.Finding {
	n := s.databaseNote()
	if n.Kind == "" {
		return nil
	}
	return []finding.Finding{{Code: finding.SharedDatabase, Severity: finding.Warning, Subject: subject, Text: n.text(), Fix: n.fix() + ", then salvor apply"}}
}

// LookForDatabases looks once a day (UTC) for databases in the shared volumes that are mounted here.
func LookForDatabases(ctx context.Context, h *Host, now time.Time) error {
	spec, err := h.ReadSpec()
	if err != nil {
		return err
	}
	var errs []error
	for _, st := range spec.Stacks {
		s := h.At(spec, st)
		state, err := s.SharedState()
		if err != nil || state == nil || !state.Mounted || s.databaseNote().Day == dayOf(now) {
			errs = append(errs, err)
			continue
		}
		_, err = s.lookForDatabase(ctx, now)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func dayOf(t time.Time) int { return int(t.Unix() / int64(24*time.Hour/time.Second)) }
