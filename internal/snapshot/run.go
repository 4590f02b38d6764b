package snapshot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"salvor/internal/atomicfile"
	"salvor/internal/blob"
	"salvor/internal/finding"
	"salvor/internal/snapshot/nsexec"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restic"
	"salvor/internal/snapshot/restserver"
)

// run makes the snapshot: dumps, then one pass over the live files, then, where files
// must not change, a second one over what has changed since, with the stack paused.
// Nothing counts before commit.
func (t *taking) run(ctx context.Context) (err error) {
	ctx, s, err := t.engine.open(ctx, t.job.Repository, restserver.Options{Mode: restserver.AppendOnly}, t.job.Epoch)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(withCause(ctx, err), s.close()) }()
	if err := unlock(ctx, t.job.Repository, t.repo, t.job.Epoch); err != nil {
		return err
	}
	backup, err := t.arrange(ctx, s)
	if err != nil {
		return err
	}
	// else every file is read: what was lost is uploaded, and a host without a note
	// of the last snapshot can't know what was written while that was taken
	if !t.healed && t.state.Snapshot == t.last.ID && !t.state.Clean.IsZero() {
		backup.Parent = t.last.ID
	}
	sum, err := copier{t}.livePass(ctx, s, &backup)
	if err != nil {
		return err
	}
	t.result.Added = sum.BytesAdded
	if t.pauses() {
		if sum, err = t.paused(ctx, s, backup); err != nil {
			return err
		}
	}
	if err := errors.Join(t.complete(sum), t.hooks.end(ctx)); err != nil {
		return err
	}
	if err := t.commit(ctx, s, s.server.Snapshot(), sum); err != nil || t.job.Diverged {
		return err
	}
	return t.saveState()
}

// readFiles is one pass while the stack runs.
func (t *taking) readFiles(ctx context.Context, s *session, b restic.Backup) (restic.Summary, error) {
	end := t.engine.scope(t.job.Stack).Step("read files", "")
	s.server.Begin(restserver.Pass{})
	sum, err := s.program.Backup(ctx, s.repo, b)
	end(err, fmt.Sprintf("%d files", sum.Files))
	return sum, err
}

// arrange lays out what restic will see below nsexec.Root.
func (t *taking) arrange(ctx context.Context, s *session) (restic.Backup, error) {
	b := restic.Backup{Host: t.job.Fleet + "/" + t.job.Stack, Path: inside(t.job.Stack), Tags: t.result.Snapshot.tags()}
	if err := t.dumpAll(ctx, s); err != nil {
		return b, err
	}
	if err := t.judgeDumps(); err != nil {
		return b, err
	}
	if err := (copier{t}).all(ctx, s); err != nil {
		return b, err
	}
	if err := t.writeMeta(s.metaFolder()); err != nil { // says how many rows were dumped
		return b, err
	}
	err := t.layOut(s, &b)
	return b, err
}

// layOut has restic see the volumes, or what stands for them, and the metadata.
func (t *taking) layOut(s *session, b *restic.Backup) (err error) {
	b.Binds = nil
	for _, v := range t.job.Volumes {
		b.Binds = append(b.Binds, t.binds(v)...)
	}
	b.Binds = append(b.Binds, nsexec.Bind{Source: s.metaFolder(), Target: inside(t.job.Stack, metaDir)})
	b.ExcludeFile, err = excludeFile(t, s.spool)
	return err
}

// metaFolder is where the metadata of a snapshot is written.
func (s *session) metaFolder() string { return filepath.Join(s.spool, "meta") }

func (t *taking) writeMeta(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	content, err := json.MarshalIndent(t.meta, "", "  ")
	if err != nil {
		return err
	}
	if err := atomicfile.Write(filepath.Join(dir, "snapshot.json"), bytes.NewReader(content), 0o600); err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, "compose.yaml"), bytes.NewReader(t.job.Compose), 0o600)
}

// pauseTries is how often the pass over the files that must not change is made.
const pauseTries = 3

// paused reads what has changed since the first pass, while the stack stands
// still. A container that starts meanwhile, as one does that keeps failing,
// is not held; the pass is made again then, and after the last the snapshot says so.
func (t *taking) paused(ctx context.Context, s *session, b restic.Backup) (sum restic.Summary, err error) {
	var started []string
	for range pauseTries {
		if _, err := (rereading{t}).rereadBetween(t.clean, time.Now(), rereading{t}.copiesPaused); err != nil {
			return sum, err
		}
		b.Parent = s.server.Snapshot()
		var still time.Time
		if sum, still, err = t.pausedPass(ctx, s, b); err != nil {
			return sum, err
		}
		if started, err = t.job.Quiescer.Started(ctx, still); err != nil || len(started) == 0 {
			return sum, err
		}
	}
	t.result.Findings = append(t.result.Findings, finding.Finding{
		Code: finding.PauseBroken, Severity: finding.Warning, Subject: t.job.Stack,
		Text: fmt.Sprintf("while the stack was paused for its snapshot, in each of %d attempts, these started: %s; the "+
			"snapshot may contain part of what they wrote", pauseTries, strings.Join(started, ", ")),
		Fix: "salvor logs " + t.job.Stack + " shows why a service keeps starting; once it runs: salvor snapshot take " + t.job.Stack,
	})
	return sum, nil
}

// pausedPass is one pass with the stack paused, since still. restic holds its lock already when the stack is
// paused, and the stack continues as soon as restic has read the last file; what it writes waits in the
// spool until then.
func (t *taking) pausedPass(ctx context.Context, s *session, b restic.Backup) (sum restic.Summary, still time.Time, err error) {
	stack := t.job.Stack
	if err := Resume(ctx, t.engine.Dirs, stack, t.job.Quiescer, false); err != nil {
		return sum, still, err // what another one left paused
	}
	g, err := t.engine.guard(ctx, stack, t.limit)
	if err != nil {
		return sum, still, err
	}
	defer func() { err = errors.Join(err, g.dismiss()) }()
	pass, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &pause{
		limit: t.limit, giveUp: cancel,
		record: func(containers []string) error { return recordPaused(t.engine.Dirs, stack, t.limit, containers) },
		resume: func() error { return resume(ctx, t.engine.Dirs, stack, t.job.Quiescer) },
		forget: func() error { return forget(t.engine.Dirs, stack) },
	}
	end := t.engine.scope(t.job.Stack).Step("pause", "")
	s.server.Begin(restserver.Pass{
		Spool: true, Read: p.end,
		Ready: func(ctx context.Context) error { return p.start(ctx, t.job.Quiescer) },
	})
	sum, err = s.program.Backup(pass, s.repo, b)
	took, resumed := p.result()
	err = errors.Join(withCause(pass, err), resumed)
	end(err, took.Round(time.Millisecond).String())
	t.result.Paused, t.result.Added = t.result.Paused+took, t.result.Added+sum.BytesAdded
	return sum, p.still, err
}

// complete judges what restic could not read.
func (t *taking) complete(sum restic.Summary) error {
	for _, at := range sum.Unread {
		if !t.vanished(at) {
			return fmt.Errorf("%s could not be read", at)
		}
	}
	return nil
}

// commit uploads what waits, the snapshot last, and reads snapshot, index and
// metadata again from the remote, past every cache.
func (t *taking) commit(ctx context.Context, s *session, id string, sum restic.Summary) error {
	end := t.engine.scope(t.job.Stack).Step("upload", "")
	err := t.reportUpload(id)
	if err == nil && s.server.Snapshot() == id { // else the remote has it already
		err = s.server.Commit(ctx, id)
	}
	if err == nil {
		t.result.Written = s.server.Written()
		if err = t.readBack(ctx, id); err != nil {
			err = errors.Join(err, t.withdraw(ctx, id))
		}
	}
	end(err, t.result.Verified)
	if err != nil {
		return err
	}
	t.result.Snapshot.ID, t.result.Files, t.result.Bytes = id, sum.Files, sum.Bytes
	t.result.Known = t.trustedIDs(id)
	return nil
}

func (t *taking) reportUpload(id string) error {
	if t.job.Uploading == nil || t.job.Diverged {
		return nil
	}
	return t.job.Uploading(id)
}

// trustedIDs returns the ids that may be believed once a snapshot is proven.
func (t *taking) trustedIDs(id string) []string {
	ids := []string{id}
	for _, i := range t.listed.Infos {
		ids = append(ids, i.ID)
	}
	for _, d := range t.listed.Damaged {
		ids = append(ids, d.Info.ID)
	}
	for _, i := range t.listed.Unproven {
		if slices.Contains(t.job.Repository.Trust.Known, i.ID) {
			ids = append(ids, i.ID) // this host's own, which was interrupted
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// withdrawWithin bounds the removal of a snapshot that did not read back.
const withdrawWithin = time.Minute

// withdraw removes a snapshot that was written and does not read back: it must
// not stand before the good ones.
func (t *taking) withdraw(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawWithin)
	defer cancel()
	err := t.job.Repository.Store.Delete(ctx, "snapshots/"+id)
	if err == nil || errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrAppendOnly) {
		return nil // where it has to stay it is not proven, so nothing picks it
	}
	return fmt.Errorf("remove the snapshot %s, which did not read back: %w", repository.ShortID(id), err)
}

func (t *taking) readBack(ctx context.Context, id string) error {
	var indexes []string
	ways := map[string]int{}
	for _, w := range t.result.Written {
		if path.Dir(w.Path) == "locks" {
			continue
		}
		ways[w.Proof.By]++
		if path.Dir(w.Path) == "index" {
			indexes = append(indexes, path.Base(w.Path))
		}
	}
	snapshot, err := t.repo.Snapshot(ctx, id)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if err := t.repo.AddIndex(ctx, indexes...); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	m, err := readMeta(ctx, t.repo, snapshot, t.job.Stack)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if m.Epoch != t.meta.Epoch || m.Seq != t.meta.Seq || !m.Began.Equal(t.meta.Began) {
		return fmt.Errorf("read back: the metadata of snapshot %s is not what was written", repository.ShortID(id))
	}
	if err := stillThere(ctx, t); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	t.result.Verified = verified(ways)
	if t.healed {
		return t.listDamaged(ctx)
	}
	return nil
}

// listAgain is the pause between two looks at a listing that may be late.
const listAgain = 5 * time.Second

// listedFor is how long a listing of the packs is relied on. A short snapshot costs no second one,
// which counts on remotes that allow few calls.
const listedFor = time.Minute

// stillThere lists the packs once more, since something else may have deleted some after the
// repository was looked at: a snapshot that rests on those is not good, and the next one finds
// out what is left.
func stillThere(ctx context.Context, t *taking) error {
	if t.engine.now().Sub(t.looked) < listedFor {
		return nil
	}
	store := t.job.Repository.Store
	if t.job.Remote != nil {
		store = t.job.Remote
	}
	for began := time.Now(); ; {
		lost, err := t.repo.Lost(ctx, store)
		if err != nil || len(lost) == 0 {
			return err
		}
		if time.Since(began) >= t.job.Late {
			return fmt.Errorf("something else deleted %d packs of the repository while the snapshot was taken: %w", len(lost), lost[0].Err)
		}
		select {
		case <-time.After(min(listAgain, t.job.Late)):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// listDamaged says after a repair which earlier snapshots stay incomplete: what the
// host still had was uploaded again.
func (t *taking) listDamaged(ctx context.Context) error {
	loss, _, err := t.repo.Survey(ctx)
	if err = errors.Join(err, loss.Err()); err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	t.result.Verified += fmt.Sprintf(", %d lost parts of the repository repaired", t.result.Repaired)
	t.result.Damaged, err = damagedSnapshots(ctx, t.repo, t.listed, loss.Packs)
	reportDamaged(t, stillDamaged(t))
	return err
}

// stillDamaged are the snapshots that a repair has not made whole, oldest first.
func stillDamaged(t *taking) []Damaged {
	var left []Damaged
	for _, i := range t.listed.Infos {
		if why, bad := t.result.Damaged[i.ID]; bad {
			left = append(left, Damaged{i, why})
		}
	}
	for _, d := range t.listed.Damaged {
		if why, bad := t.result.Damaged[d.Info.ID]; bad {
			left = append(left, Damaged{d.Info, why})
		} else if d.Info.Epoch == 0 { // its own file can't be read, so nothing was found out
			left = append(left, d)
		}
	}
	slices.SortStableFunc(left, func(a, b Damaged) int { return Compare(a.Info, b.Info) })
	return left
}

// reportDamaged adds the findings about damaged snapshots.
func reportDamaged(t *taking, all []Damaged) {
	for _, d := range all {
		t.result.Findings = append(t.result.Findings, d.finding(t.job.Stack))
	}
}

// readBack is what a blob.Proof says of an object without a checksum.
const readBack = "read back"

func verified(ways map[string]int) string {
	var parts []string
	for _, by := range slices.Sorted(maps.Keys(ways)) {
		if by == readBack {
			parts = append(parts, fmt.Sprintf("%d objects read back", ways[by]))
		} else {
			parts = append(parts, fmt.Sprintf("%d objects compared by %s", ways[by], by))
		}
	}
	return strings.Join(append(parts, "index and snapshot read with a cold cache"), ", ")
}
