package parts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/recording"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// Checked is what the check of one repository found.
type Checked struct {
	Stack      string            `json:"stack"`
	Target     string            `json:"target"`
	Repository string            `json:"repository"`
	Former     int               `json:"former,omitempty"` // how many repositories ago: 0 for the present one
	Apart      bool              `json:"apart,omitempty"`  // from before the stack began again
	Snapshots  int               `json:"snapshots"`
	Packs      int               `json:"packs"`           // that were read whole
	Bytes      int64             `json:"bytes"`           // of these
	Error      string            `json:"error,omitempty"` // why it could not be checked
	Findings   []finding.Finding `json:"findings,omitempty"`
}

// Check reads the repositories of stacks, without a stack of all that ever had one: every
// index and snapshot and every folder in them, and whether all that they need is there; with
// data also every pack, whole. What is wrong with one is among its findings. One that could
// not be checked is an error, with all that were.
func (r *Reader) Check(ctx context.Context, data bool, stacks ...string) ([]Checked, error) {
	if len(stacks) == 0 {
		var err error
		if stacks, err = r.Archives.Stacks(); err != nil {
			return nil, err
		}
	}
	var all []Checked
	var errs []error
	for _, stack := range stacks {
		archives, err := r.Archives.Of(stack)
		if err == nil {
			err = r.Archives.Judge(ctx, stack, archives)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("stack %s: %w", stack, err))
			continue
		}
		for _, a := range archives {
			end := progress.Scope{Sink: r.Sink, Stack: stack}.Step("check "+a.Target, a.ID)
			c, err := r.check(ctx, a, data)
			end(err, "")
			if err != nil {
				c.Error = err.Error()
				errs = append(errs, fmt.Errorf("stack %s, target %s, repository %s: %w", stack, a.Target, a.ID, err))
			}
			all = append(all, c)
		}
	}
	return all, errors.Join(errs...)
}

func (r *Reader) check(ctx context.Context, a recording.Archive, data bool) (Checked, error) {
	c := Checked{Stack: a.Stack, Target: a.Target, Repository: a.ID, Former: a.Former, Apart: a.Apart}
	err := r.Archives.On(ctx, a, func(repo snapshot.Repository) error {
		l, err := snapshot.List(ctx, repo)
		if errors.Is(err, snapshot.ErrNoRepository) {
			err = nil
		} else if err == nil {
			err = c.read(ctx, repo, data)
		}
		if snapshot.IsDamage(err) {
			c.add("it can't be read: " + err.Error())
			return nil
		}
		if err != nil {
			return err
		}
		if lost, missing := a.Trust.Proven.Lost(l, a.Stack, a.Target); missing {
			c.Findings = append(c.Findings, lost)
		}
		c.Findings = append(c.Findings, l.Distrusted(a.Stack)...)
		return nil
	})
	finding.Sort(c.Findings)
	return c, err
}

// read checks a repository that there is.
func (c *Checked) read(ctx context.Context, repo snapshot.Repository, data bool) error {
	got, err := snapshot.CheckAll(ctx, repo, c.Stack, data)
	c.Snapshots, c.Packs, c.Bytes = got.Snapshots, got.Packs, got.Bytes
	for _, id := range slices.Sorted(maps.Keys(got.Damaged)) {
		c.Findings = append(c.Findings, finding.Finding{
			Code: finding.SnapshotDamaged, Severity: finding.Fatal, Subject: c.Stack,
			Text: fmt.Sprintf("snapshot %s on %s can't be restored whole: %s", repository.ShortID(id), c.Target, got.Damaged[id]), Fix: c.fix(),
		})
	}
	if len(got.Damaged) == 0 && snapshot.IsDamage(err) {
		c.add(err.Error())
	}
	if snapshot.IsDamage(err) {
		return nil
	}
	return err
}

func (c *Checked) add(text string) {
	c.Findings = append(c.Findings, finding.Finding{
		Code: finding.SnapshotDamaged, Severity: finding.Fatal, Subject: c.Stack, Text: fmt.Sprintf("repository %s on %s: %s", c.Repository, c.Target, text), Fix: c.fix(),
	})
}

// fix is the next command: only the present repository is ever written to.
func (c *Checked) fix() string {
	if c.Former > 0 || c.Apart {
		return "bring the files back on the remote; what can still be read: salvor snapshot get"
	}
	return "salvor snapshot take " + c.Stack + " uploads again what the remote lost and the host still has"
}
