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
	spec, st, err := h.placed(req.Stack)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	verdicts, err := h.verdicts(ctx, agentapi.Host{Name: spec.Name, Git: spec.Git, Record: spec.Record, Stacks: []agentapi.Stack{st}})
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	if v := verdicts[st.Name]; !v.MayChange {
		return agentapi.SnapshotReceipt{}, fmt.Errorf("no snapshot of %s is taken: %s", st.Name, v.Reason)
	}
	if req.Diverged {
		return h.takeDiverged(ctx, spec, st, sink)
	}
	return h.take(ctx, spec, st, taking{accept: req.AcceptShrunk, loss: req.AcceptLoss, force: true, sink: sink})
}

// placed returns a stack of the host's spec.
func (h *Host) placed(name string) (agentapi.Host, agentapi.Stack, error) {
	spec, err := h.Spec()
	if err != nil {
		return spec, agentapi.Stack{}, err
	}
	for _, st := range spec.Stacks {
		if st.Name == name {
			return spec, st, nil
		}
	}
	return spec, agentapi.Stack{}, fault.WithHint(fmt.Errorf("stack %s is not placed on %s", name, spec.Name), "salvor status")
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
func (h *Host) take(ctx context.Context, spec agentapi.Host, st agentapi.Stack, t taking) (agentapi.SnapshotReceipt, error) {
	lock, err := h.lockStack(ctx, st.Name, daemon, takingIt)
	if err != nil {
		return agentapi.SnapshotReceipt{}, err
	}
	defer lock.Release()
	return h.takeLocked(ctx, spec, st, t)
}

func (h *Host) takeLocked(ctx context.Context, spec agentapi.Host, st agentapi.Stack, t taking) (agentapi.SnapshotReceipt, error) {
	if len(h.protected(st)) == 0 {
		return agentapi.SnapshotReceipt{Stack: st.Name, Skipped: true, Verified: "nothing to protect"}, nil
	}
	if h.attempt(st.Name).under() && !t.diverged {
		return agentapi.SnapshotReceipt{}, fault.WithHint(fmt.Errorf("stack %s is between two versions: its data now "+
			"must not become the newest snapshot", st.Name), "salvor "+
			"apply continues")
	}
	began := time.Now().UTC()
	t = h.owing(st.Name, t)
	first, found, err := h.takeEach(ctx, spec, st, t)
	if err == nil && !t.diverged {
		h.paid(st.Name)
	}
	return first, errors.Join(err, h.noteTaken(spec.Name, st.Name, began, first, found, err))
}

// takeEach takes a snapshot on every target and returns the first one's receipt
// and all findings.
func (h *Host) takeEach(ctx context.Context, spec agentapi.Host, st agentapi.Stack, t taking) (first agentapi.SnapshotReceipt, found []finding.Finding, err error) {
	if len(st.Targets) == 0 {
		return first, nil, fault.WithHint(fmt.Errorf("stack %s has protected volumes, but the fleet has no snapshot target", st.Name), "declare data.snapshots in fleet.yaml")
	}
	if err := h.allReady(spec, st); err != nil {
		return first, nil, err
	}
	a, err := h.open(spec.Name, st)
	if err != nil {
		return first, nil, err
	}
	var errs []error
	for i, target := range st.Targets {
		receipt, err := h.takeOn(ctx, spec, st, a, target, t)
		if i == 0 {
			first = receipt
		}
		found = append(found, receipt.Findings...)
		errs = append(errs, err)
		h.record(journal.Entry{Kind: "snapshot", Stack: st.Name, Commit: spec.Commit, Text: target.Name + ": " + receipt.Verified, Error: text(err)})
	}
	return first, found, errors.Join(errs...)
}

// allReady refuses a snapshot of data that is not the stack's: it would become
// the newest.
func (h *Host) allReady(spec agentapi.Host, st agentapi.Stack) error {
	facts, unready, err := h.facts(spec, st)
	if err != nil || !unready {
		return err
	}
	for _, v := range h.protected(st) {
		f := facts[v.Name]
		if d := snapshot.Decide(f); d.Action != snapshot.Ready {
			return fault.WithHint(fmt.Errorf("stack %s: volume %s is not ready here (%s), so there is nothing to take", st.Name, v.Name, f.Found), "salvor "+
				"plan says why, and what salvor apply would do")
		}
	}
	return nil
}

func (h *Host) takeOn(ctx context.Context, spec agentapi.Host, st agentapi.Stack, a *access, target agentapi.Target, t taking) (receipt agentapi.SnapshotReceipt, err error) {
	h.learn(ctx, spec, st, a)
	repo, err := h.repository(ctx, a, st.Name, target)
	if err != nil {
		return receipt, err
	}
	defer func() { err = errors.Join(err, repo.close(ctx)) }()
	exists, err := repository.Exists(ctx, repo.Store)
	if err != nil {
		return receipt, err
	}
	engine := h.Snapshots
	engine.Progress = t.sink
	known := h.mark(a, st.Name, target.Repository)
	if !exists {
		if !known.Zero() && !t.loss {
			f := gone(spec.Name, st.Name, target, known)
			receipt.Findings = []finding.Finding{f}
			return receipt, fault.WithHint(fmt.Errorf("no snapshot of %s: %s", st.Name, f.Text), f.Fix)
		}
		if err := repository.Create(ctx, repo.Store, repo.Password); err != nil {
			return receipt, err
		}
	}
	job, err := h.job(ctx, spec, st, repo.Repository, t)
	if err != nil {
		return receipt, err
	}
	who := h.ownership(askWithin)
	defer who.close(ctx)
	job.Holds = func(ctx context.Context) error { return who.notLost(ctx, spec, st) }
	job.Before = func(ctx context.Context) (map[string]snapshot.Stats, error) { return h.before(ctx, a, st, target) }
	job.After = known
	job.Uploading = func(id string) error {
		return h.changeRepositoryNote(st.Name, target.Repository, func(n *repositoryNote) { n.Known = append(n.Known, id) })
	}
	job.Suspects = h.repositoryNotes(st.Name)[target.Repository].Suspects
	result, err := h.takeListed(ctx, engine, job)
	receipt = receiptOf(st, result)
	receipt.Findings = onHost(spec.Name, st.Name, receipt.Findings)
	if err == nil && finding.AnyFatal(result.Findings) {
		worst := result.Findings[slices.IndexFunc(result.Findings, func(f finding.Finding) bool { return f.Severity == finding.Fatal })]
		err = fault.WithHint(fmt.Errorf("no snapshot of %s: %s: %s", st.Name, worst.Subject, worst.Text), worst.Fix)
	}
	if err != nil {
		return receipt, err
	}
	hold.At(ctx, "taken")
	if err := h.noteResult(st.Name, target.Repository, result); err != nil {
		return receipt, err
	}
	if !result.Skipped && !result.Snapshot.Diverged {
		note := h.repositoryNotes(st.Name)[target.Repository]
		repo.Trust.Proven, repo.Trust.Known = note.Mark, note.Known
		if !h.prove(ctx, spec, st, a, note) && spec.Record.Remote != "" {
			return receipt, nil // the one that the record knows to be proven stays until it knows another
		}
	}
	if target.AppendOnly {
		excess, err := snapshot.Excess(ctx, repo.Repository, target.Keep)
		receipt.Findings = append(receipt.Findings, pruneDue(spec.Name, st.Name, target.Name, excess)...)
		h.noteRetention(st.Name, err)
		return receipt, h.removeKept(ctx, repo, st, t)
	}
	return receipt, h.thin(ctx, spec, engine, repo, st, target, t)
}

// takeListed takes a snapshot once the listing has what was proven, which may be
// late.
func (h *Host) takeListed(ctx context.Context, engine snapshot.Engine, job snapshot.Job) (snapshot.Result, error) {
	for began := time.Now(); ; {
		result, err := takeWithin(ctx, engine, job)
		lost := slices.ContainsFunc(result.Findings, func(f finding.Finding) bool {
			return aboutHistory(f) && f.Severity == finding.Fatal
		})
		if err != nil || !lost || time.Since(began) > h.late() {
			return result, err
		}
		if err := pause(ctx, min(listAgain, h.late())); err != nil {
			return result, err
		}
	}
}

func (h *Host) job(ctx context.Context, spec agentapi.Host, st agentapi.Stack, repo snapshot.Repository, t taking) (snapshot.Job, error) {
	q := quiet{host: h, stack: st.Name}
	was, err := h.ran(ctx, spec, st)
	if t.images != nil {
		was = ran{spec.Commit, st.Project.Compose, t.images}
	}
	ran := st
	ran.Project.Compose = was.compose
	return snapshot.Job{
		Fleet: spec.Fleet, Stack: st.Name, Host: spec.Name, Epoch: st.Epoch, Commit: was.commit, Repository: repo, Volumes: h.protected(st),
		Compose: was.compose, Images: was.images, Quiescer: q, Runner: q, Database: &besideDatabase{host: h, stack: ran, images: was.images, sink: t.sink}, PauseLimit: st.PauseLimit,
		Stopped: t.stopped, Force: t.force, Diverged: t.diverged, AcceptShrunk: t.accept || st.AcceptShrunk, AcceptLoss: t.loss,
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
func (h *Host) ran(ctx context.Context, spec agentapi.Host, st agentapi.Stack) (ran, error) {
	deployed, known, err := h.Stacks.Deployed(ctx, st.Name)
	if err != nil || !known {
		return ran{spec.Commit, st.Project.Compose, st.Images}, err
	}
	compose, err := h.Stacks.DeployedCompose(ctx, st.Name)
	return ran{deployed.Commit, compose, deployed.Images}, err
}

func (h *Host) thin(ctx context.Context, spec agentapi.Host, engine snapshot.Engine, repo *opened, st agentapi.Stack, target agentapi.Target, t taking) error {
	who := h.ownership(askWithin)
	defer who.close(ctx)
	holds := func(ctx context.Context) error { return who.mayChange(ctx, spec, st) }
	if _, err := engine.Thin(ctx, repo.Repository, st.Name, st.Epoch, target.Keep, holds); err != nil {
		h.noteRetention(st.Name, err)
		return nil
	}
	return h.removeKept(ctx, repo, st, t)
}

// noteRetention writes down why older snapshots stay. What was taken is good; too many
// snapshots are no reason to call it failed.
func (h *Host) noteRetention(stack string, err error) {
	if err != nil {
		h.record(journal.Entry{Kind: "retention", Stack: stack, Error: err.Error()})
	}
}

// pruneDue says that more snapshots lie on a target than keep says.
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
