package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/finding"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
	"salvor/internal/snapshot/restserver"
)

// ErrNotCopied is wrapped by errors that mean: the snapshot can't be had from the other
// repository, or this one needs more than a copy. Reading the volumes may still succeed.
var ErrNotCopied = errors.New("the snapshot can't be copied")

// A Source is a snapshot in another repository of the same stack, which another one gets
// without reading the volumes: with the same numbers and the same content, under an id of its
// own.
type Source struct {
	Repository Repository
	Snapshot   string // its id
}

// A transfer is one Take that copies. It is a taking without volumes: what it writes is
// proven, read back and noted as everything that is taken.
type transfer struct {
	taking
	of    repository.Snapshot // in the source
	begun string              // the id of the copy that an interrupted one has left; "" for none
}

// copy copies a snapshot from another repository, and returns when this one has it. Where it
// has a snapshot with the same numbers already, it does nothing.
func (e Engine) copy(ctx context.Context, j Job) (Result, error) {
	c := &transfer{taking: taking{engine: e, job: j, result: Result{Began: e.now().UTC()}}}
	if err := c.look(ctx); err != nil {
		return c.finish(), fmt.Errorf("copy of snapshot %s of %s: %w", repository.ShortID(j.From.Snapshot), j.Stack, err)
	}
	if !keepsHistory(&c.taking) {
		return c.finish(), nil
	}
	there := c.last.ID != "" && c.last.Epoch == c.meta.Epoch && c.last.Seq == c.meta.Seq
	var err error
	if !there || !c.state.checkedLately(e.now()) {
		err = c.checkWhole(ctx)
	}
	switch {
	case err != nil:
	case there:
		c.result.Skipped, c.result.Snapshot = true, c.last
	default:
		err = c.write(ctx)
	}
	if err == nil {
		err = c.note()
	}
	if err != nil {
		err = fmt.Errorf("copy of snapshot %s of %s: %w", repository.ShortID(j.From.Snapshot), j.Stack, err)
	}
	return c.finish(), err
}

// look reads what the snapshot says of itself, and lists the repository that it is for.
func (c *transfer) look(ctx context.Context) error {
	from := c.job.From
	source, err := openRepository(ctx, from.Repository)
	if err == nil {
		c.of, err = source.Snapshot(ctx, from.Snapshot)
	}
	if err == nil {
		c.meta, err = readMeta(ctx, source, c.of, c.job.Stack)
	}
	info, salvors := ParseTags(c.of.Tags)
	if err == nil && (!salvors || info.Diverged || info.Epoch != c.meta.Epoch || info.Seq != c.meta.Seq) {
		err = errors.New("its tags are not what it says of itself")
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotCopied, err)
	}
	info.Time = c.of.Time.UTC()
	if c.state, err = stateOf(c.statePath()); err != nil {
		return err
	}
	c.looked = c.engine.now()
	if c.repo, err = openRepository(ctx, c.job.Repository); err != nil {
		return err
	}
	if c.listed, err = list(ctx, c.repo, c.job.Repository); err != nil {
		return err
	}
	c.last, _ = Newest(c.listed.Infos)
	c.result.Snapshot = info
	newer := Mark{Epoch: info.Epoch, Seq: info.Seq}
	if (Mark{Epoch: c.last.Epoch, Seq: c.last.Seq}).Newer(newer) || c.job.After.Newer(newer) {
		return fmt.Errorf("%w: there is a newer one already", ErrNotCopied)
	}
	for _, i := range c.listed.Unproven {
		if i.Epoch == info.Epoch && i.Seq == info.Seq && slices.Contains(c.listed.begun, i.ID) {
			c.begun = i.ID
		}
	}
	return nil
}

// checkWhole finds out whether the repository can be relied upon. One that is damaged is not
// repaired here: what it lost is read from the volumes.
func (c *transfer) checkWhole(ctx context.Context) (err error) {
	if _, c.result.Spare, err = c.repo.Mend(ctx, c.job.Repository.Spare); err != nil {
		return err
	}
	loss, packs, err := c.repo.Survey(ctx)
	if err != nil {
		return err
	}
	unnamed, err := repairer{repo: c.repo}.unnamed(ctx, c.listed, packs)
	if err == nil && (unnamed > 0 || !loss.None()) {
		err = fmt.Errorf("%w: the repository has lost some of its parts", ErrNotCopied)
	}
	return err
}

// write has restic copy the snapshot. It counts once it was read back.
func (c *transfer) write(ctx context.Context) (err error) {
	ctx, s, err := c.engine.open(ctx, c.job.Repository, restserver.Options{Mode: restserver.AppendOnly}, c.job.Epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(withCause(ctx, err), s.close()) }()
	if err := unlock(ctx, c.job.Repository, c.repo, c.job.Epoch); err != nil {
		return err
	}
	id := c.begun
	if id == "" {
		end := c.engine.scope(c.job.Stack).Step("copy from another target", "")
		id, err = c.fromSource(ctx, s)
		end(err, "")
	}
	if err != nil {
		return err
	}
	var sum restic.Summary
	for _, v := range c.meta.Volumes {
		sum.Files, sum.Bytes = sum.Files+v.Stats.Files, sum.Bytes+v.Stats.Bytes
	}
	return c.commit(ctx, s, id, sum)
}

// fromSource copies, and returns the id of the snapshot that waits to be committed.
func (c *transfer) fromSource(ctx context.Context, s *session) (id string, err error) {
	from := c.job.From.Repository
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	source, err := restserver.Start(reading, restserver.Options{
		Store: from.Store, Mode: restserver.ReadOnly, Listen: c.engine.Listen,
		Abort: func(err error) { cancel(fmt.Errorf("%w: %w", ErrNotCopied, err)) },
	})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	s.server.Begin(restserver.Pass{})
	err = s.program.Copy(reading, s.repo, restic.Repository{URL: source.URL(), Password: from.Password}, c.job.From.Snapshot)
	if err = withCause(reading, err); err != nil {
		return "", err
	}
	if id = s.server.Snapshot(); id == "" {
		return "", fmt.Errorf("%w: restic has copied nothing", ErrNotCopied)
	}
	return id, nil
}

// note remembers that the volumes are in the copy as they are in what was copied.
func (c *transfer) note() error {
	from, err := stateOf(c.engine.Dirs.SnapshotState(c.job.Stack, c.job.From.Repository.ID))
	if err != nil || from.Snapshot != c.job.From.Snapshot {
		return err // a later look at the volumes finds out
	}
	checked := c.state.Checked
	if !c.result.Skipped || !c.state.checkedLately(c.engine.now()) {
		checked = c.engine.now().UTC()
	}
	from.Snapshot, from.Checked = c.result.Snapshot.ID, checked
	return from.save(c.statePath())
}

// keepsHistory adds what is wrong with the history of the repository to the findings, and
// reports whether a snapshot may be added to it.
func keepsHistory(t *taking) bool {
	j := t.job
	t.result.Findings = t.listed.Distrusted(j.Stack)
	lost, missing := j.After.Lost(t.listed, j.Stack, "")
	if !missing || j.Diverged {
		return true
	}
	if j.AcceptLoss {
		lost.Severity = finding.Warning
		lost.Text += "; this one contains the data on the host"
		lost.Fix = "nothing to do; salvor snapshot ls " + j.Stack + " lists what is left"
	}
	t.result.Findings = append(t.result.Findings, lost)
	return j.AcceptLoss
}
