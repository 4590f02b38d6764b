package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"salvor/internal/blob"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/snapshot/repository"
	"salvor/internal/snapshot/restserver"
)

// DefaultPauseLimit is how long a stack may be paused where nothing else is said.
const DefaultPauseLimit = 5 * time.Second

// stopAllowance is how much longer than a pause it may take until services have stopped.
const stopAllowance = time.Minute

// Job says what to take a snapshot of. The caller has checked that this host
// holds the stack's claim at Epoch, and runs one job per stack at a time.
type Job struct {
	Fleet, Stack, Host string
	Epoch              int
	Commit             string
	Repository         Repository
	Remote             blob.Store        // Repository's, where that one answers listings by an earlier one; nil for the same
	Late               time.Duration     // how long a listing of Remote may lag behind what was written
	From               *Source           // it is copied from there, instead of being read from the volumes; nil for reading
	Volumes            []Volume          // those protected by snapshot
	Compose            []byte            // the resolved Compose file
	Images             map[string]string // service to reference with digest
	Quiescer           Quiescer
	Runner             Runner
	Database           Database      // loads dumps as a test; nil for none
	PauseLimit         time.Duration // 0 for DefaultPauseLimit
	Stopped            bool          // no container of the stack runs: files are copied as they are, databases too
	Hooks              fleet.Hooks   // run around the snapshot, and with them nothing counts as unchanged until they have run
	Stops              bool          // Quiescer stops services, which may take a minute more than a pause
	Force              bool          // also when nothing has changed
	AcceptShrunk       bool          // empty or shrunken volumes are meant
	AcceptLoss         bool          // proven snapshots that the remote has lost are given up
	Diverged           bool          // this host has lost its claim; restore never picks the snapshot
	Suspects           []string      // packs that may be damaged: they are read before anything rests on them
	After              Mark          // the newest snapshot that is known of the repository: the next one is newer
	Above              Mark          // the newest that is known of the stack, in whatever repository: the next one is newer

	// Holds is asked before something is deleted from the remote whether this host
	// still holds the claim; nil for always.
	Holds func(context.Context) error

	// Before returns what the volumes held by the newest snapshot of an earlier
	// repository. It is asked while Repository has none; nil for no earlier one.
	Before func(context.Context) (map[string]Stats, error)

	// Uploading is called before the snapshot gets its name on the remote, so that an
	// interrupted one can be distinguished from another's; nil for nothing.
	Uploading func(id string) error
}

// Result is what a Take did. Without a fatal finding, Snapshot is on the remote
// and was read back from there.
type Result struct {
	Snapshot Info
	Skipped  bool // nothing has changed; Snapshot is the one that has it all
	Began    time.Time
	Duration time.Duration
	Paused   time.Duration
	Files    int
	Bytes    int64 // of the files
	Added    int64 // new data before compression
	Written  []restserver.Written
	Verified string // "12 objects compared by md5, index and snapshot read with a cold cache"
	Findings []finding.Finding
	// Repaired counts the packs and indexes that the remote had lost and that were
	// taken again or rebuilt; then Damaged says which earlier snapshots stay
	// incomplete, and why.
	Repaired int
	Damaged  map[string]string
	Known    []string         // with Snapshot, all that may be trusted from now on (see Trust)
	Spare    repository.Spare // copies of the files that open the repository
}

// Take takes one snapshot of all the stack's volumes and returns when the remote
// has it. A volume that is missing, empty or has lost nearly everything is a
// finding and no snapshot is taken, so that the newest stays good. With Job.From it copies
// a snapshot instead of reading the volumes.
//
// Hooks before it run first; those after it run as soon as everything is read, and whatever goes wrong.
func (e Engine) Take(ctx context.Context, j Job) (r Result, err error) {
	if j.From != nil {
		return e.copy(ctx, j)
	}
	began := time.Now().UTC()
	hooks, err := e.begin(ctx, j)
	defer func() {
		err = errors.Join(err, hooks.end(ctx))
		r.Findings = append(r.Findings, hooks.found...)
	}()
	if err != nil || finding.AnyFatal(hooks.found) {
		return Result{Began: began, Duration: time.Since(began)}, err
	}
	return e.take(ctx, j, hooks)
}

func (e Engine) take(ctx context.Context, j Job, hooks *hooked) (Result, error) {
	t, err := e.prepare(ctx, j)
	if err != nil {
		return Result{}, fmt.Errorf("snapshot of %s: %w", j.Stack, err)
	}
	t.hooks = hooks
	if !keepsHistory(t) {
		return t.finish(), nil
	}
	idle := !j.Force && !j.Diverged && t.unchanged()
	if idle && t.state.checkedLately(t.engine.now()) && len(j.Suspects) == 0 {
		return t.skip()
	}
	if err := t.checkRepository(ctx); err != nil {
		return t.finish(), fmt.Errorf("snapshot of %s: %w", j.Stack, err)
	}
	if idle && !t.healed {
		t.result.Skipped, t.result.Snapshot = true, t.last
		return t.finish(), errors.Join(t.noteChecked(), t.noteHeld())
	}
	t.refuseLosses()
	if finding.AnyFatal(t.result.Findings) {
		return t.finish(), nil
	}
	err = t.run(ctx)
	if errors.Is(err, errEmptied) {
		return t.finish(), nil
	}
	if errors.Is(err, errPauseTooLong) {
		t.result.Findings = append(t.result.Findings, finding.Finding{
			Code: finding.PauseTooLong, Severity: finding.Fatal, Subject: j.Stack,
			Text: fmt.Sprintf("the snapshot needed a pause of more than %s and was given up", t.limit),
			Fix:  "raise pause_limit, or use a native method",
		})
		return t.finish(), nil
	}
	if err != nil {
		return t.finish(), fmt.Errorf("snapshot of %s: %w", j.Stack, err)
	}
	return t.finish(), t.noteHeld()
}

// Unchanged is Take where that has nothing to do: no data has changed since the newest
// snapshot, which is there, and the repository was looked at lately. Otherwise it does
// nothing and returns false.
func (e Engine) Unchanged(ctx context.Context, j Job) (Result, bool, error) {
	if len(j.Hooks.Before) > 0 {
		return Result{}, false, nil // they may write what is to be taken
	}
	t, err := e.prepare(ctx, j)
	if err != nil {
		return Result{}, false, fmt.Errorf("snapshot of %s: %w", j.Stack, err)
	}
	t.result.Findings = t.listed.Distrusted(j.Stack)
	if len(t.result.Findings) > 0 || j.After.Missing(t.listed) || !t.unchanged() || !t.state.checkedLately(e.now()) {
		return Result{}, false, nil
	}
	r, err := t.skip()
	return r, err == nil, err
}

// skip ends a Take that finds nothing new.
func (t *taking) skip() (r Result, err error) {
	t.result.Skipped, t.result.Snapshot = true, t.last
	t.result.Findings, err = loadTest{t}.failedLoads()
	reportDamaged(t, t.listed.Damaged)
	return t.finish(), errors.Join(err, t.noteHeld())
}

// noteHeld remembers that the volumes of a stopped stack are in the snapshot whole,
// so that they may be deleted once other data has taken their place.
func (t *taking) noteHeld() error {
	if !t.job.Stopped || t.job.Diverged {
		return nil
	}
	var errs []error
	for _, v := range t.job.Volumes {
		if t.scans[v.Name].listed > 0 {
			continue // what may be deleted is in a snapshot, or a cache
		}
		errs = append(errs, t.engine.noteHeld(t.job.Stack, v, t.result.Snapshot.ID, t.scans[v.Name].print))
	}
	return errors.Join(errs...)
}

// A taking is one Take under way.
type taking struct {
	engine Engine
	job    Job
	limit  time.Duration
	repo   *repository.Repository
	listed Listing
	looked time.Time // before the repository was listed
	last   Info      // newest usable in the repository, if any
	healed bool      // the repository was repaired, so that every file is read again
	before map[string]Stats
	state  localState
	clean  time.Time       // when writing out what is in memory began
	scans  map[string]scan // by volume; a missing volume has none
	meta   Meta
	dumped map[string]dumped // by volume
	copies map[string]copies // of SQLite databases, by volume
	copied map[string]bool   // volumes whose files are copied in a pause, since they can't be asked
	hooks  *hooked
	result Result
}

func (e Engine) prepare(ctx context.Context, j Job) (*taking, error) {
	t := &taking{engine: e, job: j, limit: j.PauseLimit, result: Result{Began: time.Now().UTC()}}
	if t.limit == 0 {
		t.limit = DefaultPauseLimit
	}
	if j.Stops {
		t.limit += stopAllowance
	}
	for _, v := range j.Volumes {
		if err := ValidVolume(v); err != nil {
			return nil, err
		}
	}
	var err error
	if t.state, err = stateOf(t.statePath()); err != nil {
		return nil, err
	}
	if err := (rereading{t}).rereadLast(ctx); err != nil {
		return nil, err
	}
	if err := (rereading{t}).flushMemory(); err != nil {
		return nil, err
	}
	if err := t.scan(); err != nil {
		return nil, err
	}
	t.looked = e.now()
	if t.repo, err = openRepository(ctx, j.Repository); err != nil {
		return nil, err
	}
	if t.listed, err = list(ctx, t.repo, j.Repository); err != nil {
		return nil, err
	}
	t.last, _ = Newest(t.listed.Infos)
	t.describe()
	return t, nil
}

// checkRepository finds out whether the repository can be relied upon, repairs it where
// not, and learns what the new snapshot is to be compared with.
func (t *taking) checkRepository(ctx context.Context) (err error) {
	if _, t.result.Spare, err = t.repo.Mend(ctx, t.job.Repository.Spare); err != nil {
		return err
	}
	r := repairer{t.engine, t.job.Repository, t.repo, Claim{t.job.Stack, t.job.Epoch, t.job.Holds}}
	if t.result.Repaired, err = r.heal(ctx, t.listed, t.job.Suspects); err != nil {
		return err
	}
	t.healed = t.result.Repaired > 0
	if err := t.loadPrevious(ctx); err != nil {
		return err
	}
	if !t.healed { // else it is not known before all is taken
		reportDamaged(t, t.listed.Damaged)
	}
	return nil
}

func (t *taking) scan() error {
	t.scans = map[string]scan{}
	for _, v := range t.job.Volumes {
		s, err := copier{t}.scan(v)
		if ignoreVanished(err) != nil {
			return err
		}
		if err == nil {
			t.scans[v.Name] = s
		}
	}
	return nil
}

// loadPrevious learns what the volumes held in the newest snapshot: from the note this
// host made of it, else from the snapshot. While the repository is new, an earlier
// one is asked; no comparison is needed if shrunken volumes are accepted.
func (t *taking) loadPrevious(ctx context.Context) (err error) {
	if t.last.ID != "" && t.state.Snapshot == t.last.ID {
		t.before = t.state.Stats
		return nil
	}
	var m Meta
	if t.listed, m, err = usable(ctx, t.repo, t.job.Repository, t.job.Stack); err != nil {
		return err
	}
	if t.last, _ = Newest(t.listed.Infos); t.last.ID != "" {
		t.before = m.held()
		return nil
	}
	if t.job.Before != nil && !t.job.AcceptShrunk {
		t.before, err = t.job.Before(ctx)
	}
	return err
}

// Held returns what the volumes held by a repository's newest usable snapshot;
// nothing where there is none.
func Held(ctx context.Context, r Repository, stack string) (map[string]Stats, error) {
	repo, err := openRepository(ctx, r)
	if errors.Is(err, ErrNoRepository) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	_, m, err := usable(ctx, repo, r, stack)
	return m.held(), err
}

// held is what each volume held.
func (m Meta) held() map[string]Stats {
	stats := map[string]Stats{}
	for _, v := range m.Volumes {
		stats[v.Name] = v.Stats
	}
	return stats
}

// describe writes down what the snapshot will be.
func (t *taking) describe() {
	seq := 1
	for _, m := range []Mark{t.job.After, t.job.Above} {
		if m.Epoch == t.job.Epoch {
			seq = max(seq, m.Seq+1)
		}
	}
	listed := slices.Clone(t.listed.Infos)
	for _, d := range t.listed.Damaged {
		listed = append(listed, d.Info)
	}
	for _, i := range listed {
		if i.Epoch == t.job.Epoch && !i.Diverged && i.Seq < maxCount {
			seq = max(seq, i.Seq+1)
		}
	}
	t.meta = Meta{
		Schema: fleet.Schema, Fleet: t.job.Fleet, Stack: t.job.Stack, Host: t.job.Host, Epoch: t.job.Epoch,
		Seq: seq, Commit: t.job.Commit, Began: t.result.Began, Images: t.job.Images,
	}
	names := make([]string, 0, len(t.job.Volumes))
	for _, v := range t.job.Volumes {
		s := t.scans[v.Name]
		form, sparse := Files, s.sparse
		if n, ok := v.native(); ok && t.dumps(v) {
			form, sparse = n.form, nil
		}
		t.meta.Volumes = append(t.meta.Volumes, VolumeMeta{Name: v.Name, Method: v.Method, Form: form, Stats: s.stats, Sparse: sparse})
		names = append(names, v.Name)
	}
	slices.SortFunc(t.meta.Volumes, func(a, b VolumeMeta) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(names)
	t.result.Snapshot = Info{Epoch: t.job.Epoch, Seq: seq, Commit: t.job.Commit, Volumes: names, Diverged: t.job.Diverged, Time: t.result.Began}
}

// pauses reports whether the stack must be held still.
func (t *taking) pauses() bool {
	return slices.ContainsFunc(t.job.Volumes, rereading{t}.copiesPaused)
}

// refuseLosses refuses volumes that are missing, empty or have lost nearly all that
// they held. The rows of a dump are judged once it is there.
func (t *taking) refuseLosses() {
	for _, v := range t.job.Volumes {
		scanned, there := t.scans[v.Name]
		before, now := alike(t.previously(v), scanned.stats)
		if v.Method.Native() || there && emptied(before, now) && outgrown(v) {
			now.Rows = before.Rows
		}
		switch {
		case !there:
			t.refuse(finding.VolumeMissing, v.Name, "the volume does not exist", "salvor apply")
		case scanned.hollow > maxHollow && !t.dumps(v):
			t.refuse(finding.VolumeSparse, v.Name, fmt.Sprintf("it has files with a total size of %d GiB that are almost "+
				"empty (sparse): reading them would take hours", scanned.hollow>>30),
				"du --apparent-size in the volume finds them; make them smaller, or set protect: none if they may be lost")
		case scanned.allLeft():
			t.refuse(finding.VolumeExcluded, v.Name, scanned.allLeftText(), fmt.Sprintf("leave out less: x-salvor.volumes.%s; or protect: none, if all of it may be lost", v.Name))
		case t.job.AcceptShrunk:
		case now.Files == 0 && before.Files > 0:
			t.refuse(finding.VolumeEmpty, v.Name, fmt.Sprintf("the volume is empty; the last snapshot has %d files", before.Files), t.fixForLoss())
		case emptied(before, now):
			t.refuse(finding.VolumeShrunk, v.Name, fmt.Sprintf("its databases have %d rows; in the last snapshot they have %d", now.Rows, before.Rows), t.fixForLoss())
		case shrunk(before, now):
			t.refuse(finding.VolumeShrunk, v.Name, fmt.Sprintf("only %d files with %d bytes are left of %d with %d", now.Files, now.Bytes, before.Files, before.Bytes), t.fixForLoss())
		}
	}
}

func (t *taking) finish() Result {
	t.result.Duration = time.Since(t.result.Began)
	return t.result
}
