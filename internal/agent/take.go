package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
)

// TakeSnapshot takes a snapshot of a stack on every target, now.
func (h *Host) TakeSnapshot(ctx context.Context, req agentapi.TakeSnapshot, sink progress.Sink) (agentapi.SnapshotReceipt, error) {
	k := h.keeper()
	defer k.Close(ctx)
	s, err := k.placed(req.Stack)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	if v := k.who.Verdict(ctx, s); !v.MayChange {
		return agentapi.SnapshotReceipt{}, fmt.Errorf("no snapshot of %s is taken: %s", s.Name, v.Reason)
	}
	if req.Diverged {
		return k.takeDiverged(ctx, s, sink)
	}
	return k.take(ctx, s, taking{accept: req.AcceptShrunk, loss: req.AcceptLoss, force: true, sink: sink})
}

// placed returns a stack of the host's spec.
func (h *base) placed(name string) (*Stack, error) {
	spec, err := h.Spec()
	if err != nil {
		return nil, err
	}
	for _, st := range spec.Stacks {
		if st.Name == name {
			return h.at(spec, st), nil
		}
	}
	return nil, fault.WithHint(fmt.Errorf("stack %s is not placed on %s", name, spec.Name), "salvor status")
}

// taking says how a snapshot is taken.
type taking struct {
	accept  bool // empty and shrunken volumes are meant
	force   bool // also when nothing has changed
	stopped bool // the stack does not run
	loss    bool // earlier snapshots that are gone from the remote are given up
	keep    bool // what a restore moved aside stays there

	diverged bool              // it is not on the stack's line: a recovery never picks it
	images   map[string]string // of the version that wrote it; nil for what was deployed last
	sink     progress.Sink
}

// take takes one snapshot for each target, under the stack's lock, and returns
// the receipt of the first. The caller has checked the claim.
func (k *keeper) take(ctx context.Context, s *Stack, t taking) (agentapi.SnapshotReceipt, error) {
	lock, err := k.lockStack(ctx, s.Name, daemon, takingIt)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	defer lock.Release()
	return k.takeLocked(ctx, s, t)
}

func (k *keeper) takeLocked(ctx context.Context, s *Stack, t taking) (agentapi.SnapshotReceipt, error) {
	if len(s.protected()) == 0 {
		return agentapi.SnapshotReceipt{Stack: s.Name, Skipped: true, Verified: "nothing to protect"}, nil
	}
	if k.attempt(s.Name).under() && !t.diverged {
		return agentapi.SnapshotReceipt{}, fault.WithHint(fmt.Errorf("stack %s is between two versions: its data now "+
			"must not become the newest snapshot", s.Name), "salvor "+
			"apply continues")
	}
	began := time.Now().UTC()
	t = k.owing(s.Name, t)
	first, found, err := k.takeEach(ctx, s, t)
	if err == nil && !t.diverged {
		k.paid(s.Name)
	}
	return first, errors.Join(err, k.noteTaken(s.Spec.Name, s.Name, began, first, found, err))
}

// takeEach takes a snapshot on every target and returns the first one's receipt
// and all findings.
func (k *keeper) takeEach(ctx context.Context, s *Stack, t taking) (first agentapi.SnapshotReceipt, found []finding.Finding, err error) {
	if len(s.Targets) == 0 {
		return first, nil, fault.WithHint(fmt.Errorf("stack %s has protected volumes, but the fleet has no snapshot target", s.Name), "declare data.snapshots in fleet.yaml")
	}
	if err := s.allReady(); err != nil {
		return first, nil, err
	}
	s, err = s.open()
	if err != nil {
		return first, nil, err
	}
	var errs []error
	for i, target := range s.Targets {
		receipt, err := k.takeOn(ctx, s, target, t)
		if i == 0 {
			first = receipt
		}
		found = append(found, receipt.Findings...)
		errs = append(errs, err)
		k.record(journal.Entry{Kind: "snapshot", Stack: s.Name, Commit: s.Spec.Commit, Text: target.Name + ": " + receipt.Verified, Error: text(err)})
	}
	return first, found, errors.Join(errs...)
}

// allReady refuses a snapshot of data that is not the stack's: it would become
// the newest.
func (s *Stack) allReady() error {
	facts, unready, err := s.facts()
	if err != nil || !unready {
		return err
	}
	for _, v := range s.protected() {
		f := facts[v.Name]
		if d := snapshot.Decide(f); d.Action != snapshot.Ready {
			return fault.WithHint(fmt.Errorf("stack %s: volume %s is not ready here (%s), so there is nothing to take", s.Name, v.Name, f.Found), "salvor "+
				"plan says why, and what salvor apply would do")
		}
	}
	return nil
}

func (k *keeper) takeOn(ctx context.Context, s *Stack, target agentapi.Target, t taking) (receipt agentapi.SnapshotReceipt, err error) {
	k.learn(ctx, s)
	repo, err := k.repository(ctx, s, target)
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, repo.close(ctx)) }()
	exists, err := repository.Exists(ctx, repo.Store)
	if err != nil {
		return receipt, err
	}
	engine := k.Snapshots
	engine.Progress = t.sink
	known := k.mark(s, target.Repository)
	if !exists {
		if !known.Zero() && !t.loss {
			f := gone(s.Spec.Name, s.Name, target, known)
			receipt.Findings = []finding.Finding{f}
			return receipt, fault.WithHint(fmt.Errorf("no snapshot of %s: %s", s.Name, f.Text), f.Fix)
		}
		if err := repository.Create(ctx, repo.Store, repo.Password); err != nil {
			return receipt, err
		}
	}
	job, err := k.job(ctx, s, repo.Repository, t)
	if err != nil {
		return receipt, err
	}
	job.Holds = func(ctx context.Context) error { return k.who.NotLost(ctx, s) }
	job.Before = func(ctx context.Context) (map[string]snapshot.Stats, error) { return k.before(ctx, s, target) }
	job.After = known
	job.Uploading = func(id string) error {
		return k.changeRepositoryNote(s.Name, target.Repository, func(n *repositoryNote) { n.Known = append(n.Known, id) })
	}
	job.Suspects = k.repositoryNotes(s.Name)[target.Repository].Suspects
	result, err := k.takeListed(ctx, engine, job)
	receipt = receiptOf(s.Stack, result)
	receipt.Findings = onHost(s.Spec.Name, s.Name, receipt.Findings)
	if err == nil && finding.AnyFatal(result.Findings) {
		worst := result.Findings[slices.IndexFunc(result.Findings, func(f finding.Finding) bool { return f.Severity == finding.Fatal })]
		err = fault.WithHint(fmt.Errorf("no snapshot of %s: %s: %s", s.Name, worst.Subject, worst.Text), worst.Fix)
	}
	if err != nil {
		return receipt, err
	}
	hold.At(ctx, "taken")
	if err := k.noteResult(s.Name, target.Repository, result); err != nil {
		return receipt, err
	}
	if !result.Skipped && !result.Snapshot.Diverged {
		note := k.repositoryNotes(s.Name)[target.Repository]
		repo.Trust.Proven, repo.Trust.Known = note.Mark, note.Known
		if !k.prove(ctx, s, note) && s.Spec.Record.Remote != "" {
			return receipt, nil // the one that the record knows to be proven stays until it knows another
		}
	}
	if target.AppendOnly {
		excess, err := snapshot.Excess(ctx, repo.Repository, target.Keep)
		receipt.Findings = append(receipt.Findings, pruneDue(s.Spec.Name, s.Name, target.Name, excess)...)
		k.noteRetention(s.Name, err)
		return receipt, k.removeKept(ctx, repo, s, t)
	}
	return receipt, k.thin(ctx, s, engine, repo, target, t)
}

// takeListed takes a snapshot once the listing has what was proven, which may be
// late.
func (k *keeper) takeListed(ctx context.Context, engine snapshot.Engine, job snapshot.Job) (snapshot.Result, error) {
	for began := time.Now(); ; {
		result, err := takeWithin(ctx, engine, job)
		lost := slices.ContainsFunc(result.Findings, func(f finding.Finding) bool {
			return aboutHistory(f) && f.Severity == finding.Fatal
		})
		if err != nil || !lost || time.Since(began) > k.late() {
			return result, err
		}
		if err := pause(ctx, min(listAgain, k.late())); err != nil {
			return result, err
		}
	}
}

func (k *keeper) job(ctx context.Context, s *Stack, repo snapshot.Repository, t taking) (snapshot.Job, error) {
	q := quiet{host: k.base, stack: s.Name}
	was, err := k.ran(ctx, s)
	if t.images != nil {
		was = ran{s.Spec.Commit, s.Project.Compose, t.images}
	}
	ran := s.Stack
	ran.Project.Compose = was.compose
	return snapshot.Job{
		Fleet: s.Spec.Fleet, Stack: s.Name, Host: s.Spec.Name, Epoch: s.Epoch, Commit: was.commit, Repository: repo, Volumes: s.protected(),
		Compose: was.compose, Images: was.images, Quiescer: q, Runner: q, Database: &besideDatabase{host: k.base, stack: ran, images: was.images, sink: t.sink}, PauseLimit: s.PauseLimit,
		Stopped: t.stopped, Force: t.force, Diverged: t.diverged, AcceptShrunk: t.accept || s.AcceptShrunk, AcceptLoss: t.loss,
	}, err
}

// ran is what a snapshot's data belongs to.
type ran struct {
	commit  string
	compose []byte
	images  map[string]string
}

// ran is what was deployed last and became healthy: a snapshot taken just before
// a deploy belongs to that, and the lock learns of images later. Without a record
// it is what the spec says.
func (k *keeper) ran(ctx context.Context, s *Stack) (ran, error) {
	deployed, known, err := k.Stacks.Deployed(ctx, s.Name)
	if err != nil || !known {
		return ran{s.Spec.Commit, s.Project.Compose, s.Images}, err
	}
	compose, err := k.Stacks.DeployedCompose(ctx, s.Name)
	return ran{deployed.Commit, compose, deployed.Images}, err
}

func (k *keeper) thin(ctx context.Context, s *Stack, engine snapshot.Engine, repo *opened, target agentapi.Target, t taking) error {
	holds := func(ctx context.Context) error { return k.who.MayChange(ctx, s) }
	if _, err := engine.Thin(ctx, repo.Repository, s.Name, s.Epoch, target.Keep, holds); err != nil {
		k.noteRetention(s.Name, err)
		return nil
	}
	return k.removeKept(ctx, repo, s, t)
}

// noteRetention writes down why older snapshots stay. What was taken is good; too many
// snapshots are not a reason to call it failed.
func (k *keeper) noteRetention(stack string, err error) {
	if err != nil {
		k.record(journal.Entry{Kind: "retention", Stack: stack, Error: err.Error()})
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
