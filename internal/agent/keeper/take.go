package keeper

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/cache"
	"salvor/internal/snapshot/repository"
)

// Taking says how a snapshot is taken.
type Taking struct {
	Accept  bool // empty and shrunken volumes are meant
	Force   bool // also when nothing has changed
	Stopped bool // the stack does not run
	Counts  bool // it counts only once another host knows that it is proven: the stack is given up with it, or someone relies on it
	Loss    bool // earlier snapshots that are gone from the remote are given up
	Keep    bool // what a restore moved aside stays there

	Targets []agentapi.Target // those that get one; nil for all
	Within  time.Duration     // data that another target has is new enough where it is not older; 0 for what this taking reads

	read  bool // each target is read for, and gets no copy
	apart bool // copies are left to be made without the stack's lock

	Diverged bool              // it is not on the stack's line: a recovery never picks it
	Images   map[string]string // of the version that wrote it; nil for what was deployed last
	Sink     progress.Sink
}

// Take has each target get a snapshot, and returns the receipt of the first that has it. The
// stack is read once, for the first target that answers, under the stack's lock; the others
// get a copy from there once the lock is free. A target that fails keeps no other from its snapshot; the errors
// are joined. How it went is noted as the target's condition. The caller has checked the
// claim: a host that was taken over since adds a snapshot of its own epoch, and deletes
// nothing.
func (k *Keeper) Take(ctx context.Context, s *here.Stack, t Taking) (agentapi.SnapshotReceipt, error) {
	got, err := readFor(ctx, k, s, t)
	errs := []error{err}
	for _, c := range got.copies {
		did := c.Make(ctx)
		got.add(did)
		errs = append(errs, did.err)
	}
	return got.receipt, errors.Join(errs...)
}

// readFor is Take with the copies left to be made, each of them by its Make.
func readFor(ctx context.Context, k *Keeper, s *here.Stack, t Taking) (taken, error) {
	lock, err := k.LockStack(ctx, s.Name, here.Daemon, takingSnapshot)
	if err != nil {
		return taken{}, err
	}
	defer lock.Release()
	t.apart = true
	return takeLocked(ctx, k, s, t)
}

// TakeLocked is Take for a caller that holds the stack's lock.
func (k *Keeper) TakeLocked(ctx context.Context, s *here.Stack, t Taking) (agentapi.SnapshotReceipt, error) {
	got, err := takeLocked(ctx, k, s, t)
	return got.receipt, err
}

func takeLocked(ctx context.Context, k *Keeper, s *here.Stack, t Taking) (taken, error) {
	if len(s.Protected()) == 0 {
		return taken{receipt: agentapi.SnapshotReceipt{Stack: s.Name, Skipped: true, Why: "nothing to protect"}}, nil
	}
	if s.Attempt().InProgress() && !t.Diverged {
		return taken{}, fault.WithHint(fmt.Errorf("stack %s is between two versions: its data now "+
			"must not become the newest snapshot", s.Name), "salvor "+
			"apply continues")
	}
	return k.takeEach(ctx, s, k.withOwed(s.Name, t))
}

// taken is what a taking came to.
type taken struct {
	receipt agentapi.SnapshotReceipt // of the first target that has a snapshot
	good    bool                     // one has
	copies  []*copying               // that are yet to be made
}

func (t *taken) add(did try) {
	if t.receipt.Stack == "" || did.err == nil && !t.good { // of skipped ones the findings stay
		found := t.receipt.Findings
		t.receipt, t.good = did.receipt, did.err == nil
		t.receipt.Findings = append(t.receipt.Findings, found...)
	}
}

// takeEach has every target get its snapshot. One to which a copy is under way gets the next.
func (k *Keeper) takeEach(ctx context.Context, s *here.Stack, t Taking) (first taken, err error) {
	if len(s.Targets) == 0 {
		return first, fault.WithHint(fmt.Errorf("stack %s has protected volumes, but the fleet has no snapshot target", s.Name), "declare data.snapshots in fleet.yaml")
	}
	if t.Targets == nil {
		t.Targets = s.Targets
	}
	s, err = opened(s)
	turn := turns{k, s, t, k.Edges.Time().UTC().Add(-t.Within)}
	if err != nil {
		return first, errors.Join(err, turn.note(t.Targets, try{err: err}))
	}
	var errs []error
	for i, target := range t.Targets {
		if lasts, under := turn.under(target); under {
			first.receipt.Findings = append(first.receipt.Findings, lasts)
			continue
		}
		if c := turn.later(ctx, target); c != nil {
			first.copies = append(first.copies, c)
			continue
		}
		did := turn.of(ctx, target)
		of := t.Targets[i : i+1]
		refused := did.refused()
		if refused { // so would be every other
			of = t.Targets[i:]
		}
		did.err = turn.record(of, did)
		first.add(did)
		errs = append(errs, did.err)
		if refused {
			break
		}
	}
	if first.receipt.Stack == "" && len(first.receipt.Findings) > 0 {
		first.receipt.Stack, first.receipt.Skipped, first.receipt.Why = s.Name, true, "a snapshot is being copied there"
	}
	if !t.Diverged {
		if first.good {
			k.settleOwed(s.Name)
		}
		k.noteUnreported(s, report{k, s}.writeMissed(ctx))
	}
	return first, errors.Join(errs...)
}

// opened is a stack of which all data is here, with what its seal opens. After an error it
// is the stack as it was.
func opened(s *here.Stack) (*here.Stack, error) {
	if err := errors.Join(s.CheckSources(), s.AllReady()); err != nil {
		return s, err
	}
	open, err := s.Open()
	if err != nil {
		return s, err
	}
	return open, nil
}

// created makes the repository of a target where there is none, if it may: one that had proven
// snapshots is lost, which is a finding and an error.
func created(ctx context.Context, s *here.Stack, target agentapi.Target, repo snapshot.Repository, may bool) ([]finding.Finding, error) {
	exists, err := repository.Exists(ctx, repo.Store)
	if err != nil || exists {
		return nil, err
	}
	if !may {
		f := gone(s.Spec.Name, s.Name, target, ArchiveOf(s).NewestProven(target.Repository))
		return []finding.Finding{f}, fault.WithHint(fmt.Errorf("no snapshot of %s: %s", s.Name, f.Text), f.Fix)
	}
	return nil, repository.CreateLike(ctx, repo.Store, repo.Password, ArchiveOf(s).cutting(target))
}

// refusal returns an error where one of the findings of a snapshot is fatal.
func refusal(name string, findings []finding.Finding) error {
	i := slices.IndexFunc(findings, func(f finding.Finding) bool { return f.Severity == finding.Fatal })
	if i < 0 {
		return nil
	}
	worst := findings[i]
	return fault.WithHint(fmt.Errorf("no snapshot of %s: %s: %s", name, worst.Subject, worst.Text), worst.Fix)
}

func (k *Keeper) takeOn(ctx context.Context, s *here.Stack, target agentapi.Target, t Taking, from *snapshot.Source) (receipt agentapi.SnapshotReceipt, err error) {
	if t.Counts || !ArchiveOf(s).Notes()[target.Repository].told(s.Epoch) {
		ArchiveOf(s).LearnProven(ctx)
	}
	repo, err := ArchiveOf(s).Repository(ctx, target)
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, repo.Close(ctx)) }()
	remote := repo.Store
	objects, err := k.cached(ctx, s, target, remote)
	if err != nil {
		return receipt, err
	}
	repo.Store = objects
	engine := k.Snapshots
	engine.Progress = t.Sink
	known := ArchiveOf(s).NewestProven(target.Repository)
	if receipt.Findings, err = created(ctx, s, target, repo.Repository, t.Loss || known.Zero()); err != nil {
		return receipt, err
	}
	job, err := k.job(ctx, s, repo.Repository, t)
	if err != nil {
		return receipt, err
	}
	job.From, job.Remote, job.Late = from, remote, listingLag(k.Host)
	job.Holds = func(ctx context.Context) error { return k.Guard.NotLost(ctx, s) }
	job.Before = func(ctx context.Context) (map[string]snapshot.Stats, error) { return ArchiveOf(s).before(ctx, target) }
	job.After, job.Above = known, ArchiveOf(s).newestKnown()
	job.Uploading = func(id string) error {
		return ArchiveOf(s).changeRepositoryNote(target.Repository, func(n *repositoryNote) { n.Known = append(n.Known, id) })
	}
	job.Suspects = ArchiveOf(s).Notes()[target.Repository].Suspects
	again := func() (err error) {
		objects, err = k.cached(ctx, s, target, remote)
		repo.Store, job.Repository.Store = objects, objects
		return err
	}
	result, err := k.takeListed(ctx, engine, &job, again)
	receipt = receiptOf(s.Stack, result)
	receipt.Findings = onHost(s.Spec.Name, s.Name, receipt.Findings)
	if err == nil {
		err = refusal(s.Name, result.Findings)
	}
	if err != nil {
		return receipt, err
	}
	hold.At(ctx, "taken")
	if from != nil && t.apart {
		lock, err := k.LockStack(ctx, s.Name, here.Daemon, takingSnapshot)
		if err != nil {
			return receipt, err
		}
		defer lock.Release()
	}
	if err := ArchiveOf(s).noteResult(target.Repository, result); err != nil {
		return receipt, err
	}
	if !result.Snapshot.Diverged {
		repo.Trust = ArchiveOf(s).trust(target.Repository)
		if err := ArchiveOf(s).prove(ctx, target.Repository); err != nil {
			return receipt, t.unproven(s.Name, result.Snapshot.ID, err) // the one that the record knows to be proven stays
		}
	}
	receipt.Findings = append(receipt.Findings, k.retain(ctx, s, engine, repo.Repository, target, func() { objects.Drop("snapshots/" + result.Snapshot.ID) })...)
	repo.Store = remote
	return receipt, k.removeSetAside(ctx, repo.Repository, s, t)
}

// retain forgets what the target's policy does not keep, once the newest snapshot was read
// from the remote; fresh gives up its copy. Where the host deletes nothing, retain says how
// much that is.
func (k *Keeper) retain(ctx context.Context, s *here.Stack, engine snapshot.Engine, repo snapshot.Repository, target agentapi.Target, fresh func()) []finding.Finding {
	excess, err := snapshot.Excess(ctx, repo, target.Keep)
	if err == nil && excess > 0 && !target.AppendOnly && s.MayForget() && !copiedElsewhere(k.Host, s, target) {
		fresh()
		claim := snapshot.Claim{Stack: s.Name, Epoch: s.Epoch, Holds: func(ctx context.Context) error { return k.Guard.MayChange(ctx, s) }}
		_, err = engine.ApplyRetention(ctx, repo, claim, target.Keep)
	}
	k.noteRetention(s.Name, err)
	if target.AppendOnly {
		return pruneDue(s.Spec.Name, s.Name, target.Name, excess)
	}
	return nil
}

// copiedElsewhere reports whether a snapshot of the stack is being copied to another target:
// it may be one that the retention does not keep.
func copiedElsewhere(h *here.Host, s *here.Stack, target agentapi.Target) bool {
	return slices.ContainsFunc(s.Targets, func(o agentapi.Target) bool {
		_, under := here.CopyTo(h, o)
		return under && o.Name != target.Name
	})
}

// unproven is the error of a snapshot that the record does not know to be proven: none where the next
// snapshot makes up for it.
func (t Taking) unproven(stack, id string, err error) error {
	if !t.Counts {
		return nil
	}
	return fault.WithHint(fmt.Errorf("no note on the record remote that snapshot %.8s of %s is proven, so another host would not restore it: %w", id, stack, err),
		"bring the record remote back, then run the same command again")
}

// takeListed takes a snapshot once the listing has what was proven, which may be
// late.
func (k *Keeper) takeListed(ctx context.Context, engine snapshot.Engine, job *snapshot.Job, again func() error) (snapshot.Result, error) {
	for began := time.Now(); ; {
		result, err := takeWithin(ctx, engine, *job)
		lost := slices.ContainsFunc(result.Findings, func(f finding.Finding) bool {
			return aboutHistory(f) && f.Severity == finding.Fatal
		})
		if err != nil || !lost || time.Since(began) > listingLag(k.Host) {
			return result, err
		}
		if err := here.Sleep(ctx, min(listAgain, listingLag(k.Host))); err != nil {
			return result, err
		}
		if err := again(); err != nil {
			return result, err
		}
	}
}

// cached lists a repository and answers by that from then on, and for its small objects by
// copies on this host. Where the last reading back found something wrong there is no copy:
// what the remote has is read.
func (k *Keeper) cached(ctx context.Context, s *here.Stack, target agentapi.Target, remote blob.Store) (*cache.Store, error) {
	dir := k.Paths.Objects(target.Repository)
	if len(ArchiveOf(s).Notes()[target.Repository].Suspects) > 0 || k.Condition(s.Name).On(target.Name).Unread != "" {
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	store := cache.New(remote, dir)
	return store, store.ListAll(ctx)
}

func (k *Keeper) job(ctx context.Context, s *here.Stack, repo snapshot.Repository, t Taking) (snapshot.Job, error) {
	q := Quiet{Host: k.Host, Stack: s.Name, Stops: s.Stops}
	var hooks fleet.Hooks
	if !t.Stopped && !t.Diverged {
		hooks = s.Hooks
	}
	was, err := k.deployed(ctx, s)
	if t.Images != nil {
		was = deployedAs{s.Spec.Commit, s.Project.Compose, t.Images}
	}
	ran := s.Stack
	ran.Project.Compose = was.compose
	return snapshot.Job{
		Fleet: s.Spec.Fleet, Stack: s.Name, Host: s.Spec.Name, Epoch: s.Epoch, Commit: was.commit, Repository: repo, Volumes: s.Protected(),
		Compose: was.compose, Images: was.images, Quiescer: q, Runner: q, Database: &Isolated{Host: k.Host, Stack: ran, Images: was.images, Sink: t.Sink}, PauseLimit: s.PauseLimit, Hooks: hooks, Stops: len(s.Stops) > 0,
		Stopped: t.Stopped, Force: t.Force, Diverged: t.Diverged, AcceptShrunk: t.Accept, AcceptLoss: t.Loss,
	}, err
}

// deployedAs is what a snapshot's data belongs to.
type deployedAs struct {
	commit  string
	compose []byte
	images  map[string]string
}

// deployed is what was deployed last and became healthy: a snapshot taken just before
// a deploy belongs to that, and the lock learns of images later. Without a record
// it is what the spec says.
func (k *Keeper) deployed(ctx context.Context, s *here.Stack) (deployedAs, error) {
	deployed, known, err := k.Stacks.Deployed(ctx, s.Name)
	if err != nil || !known {
		return deployedAs{s.Spec.Commit, s.Project.Compose, s.Images}, err
	}
	compose, err := k.Stacks.DeployedCompose(ctx, s.Name)
	return deployedAs{deployed.Commit, compose, deployed.Images}, err
}

// noteRetention writes down why older snapshots stay. What was taken is good; too many
// snapshots are not a reason to call it failed.
func (k *Keeper) noteRetention(stack string, err error) {
	if err != nil {
		k.Enter(journal.Entry{Kind: "retention", Stack: stack, Error: err.Error()})
	}
}

// pruneDue says that more snapshots are on a target than keep says.
func pruneDue(host, stack, target string, excess int) []finding.Finding {
	if excess == 0 {
		return nil
	}
	return []finding.Finding{{
		Code: finding.PruneDue, Severity: finding.Info, Subject: host + "/" + stack,
		Text: fmt.Sprintf("%d snapshots on %s are no longer kept by the retention; hosts delete nothing there (append_only)", excess, target), Fix: "salvor snapshot prune " + stack,
	}}
}

func receiptOf(st agentapi.Stack, r snapshot.Result) agentapi.SnapshotReceipt {
	return agentapi.SnapshotReceipt{
		Stack: st.Name, Skipped: r.Skipped, Paused: r.Paused, Verified: r.Verified, Findings: r.Findings,
		Snapshot: agentapi.SnapshotInfo{ID: r.Snapshot.ID, Epoch: r.Snapshot.Epoch, Seq: r.Snapshot.Seq, Began: r.Began, Bytes: r.Bytes, Files: r.Files},
	}
}
