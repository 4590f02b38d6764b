package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/hold"
	"salvor/internal/progress"
	"salvor/internal/stack"
)

// An attempt is what a host remembers of a deploy that has not become healthy. For a
// stack with data that gets another image it is written before the new version
// starts, and whatever interrupts it, the next run continues:
//
//	snapshot, pull ─▶ stop, last snapshot ─▶ trying ──healthy──▶ forgotten
//	                                            └──not──▶ back ──▶ failed
//
// On the way back what the new version wrote is taken as a snapshot that nothing
// picks on its own, the last one takes its place, and the version before starts.
type attempt struct {
	stamp
	State  attemptState      `json:"state"`
	Commit string            `json:"commit"` // that it is of
	Target string            `json:"target"` // its project and images, see target
	Images map[string]string `json:"images,omitempty"`
	Built  map[string]string `json:"built,omitempty"`  // of the version before: service to image id
	Before string            `json:"before,omitempty"` // snapshot that the version before ended with; "" where its data was not at stake
	After  string            `json:"after,omitempty"`  // snapshot of what the new version wrote
	Why    string            `json:"why,omitempty"`    // it failed
	At     time.Time         `json:"at"`
}

type attemptState string

const (
	attemptTrying attemptState = "trying"
	attemptBack   attemptState = "back"
	attemptFailed attemptState = "failed"
)

func (h *base) attemptPath(stack string) string {
	return h.Paths.Attempt(stack)
}

func (h *base) attempt(stack string) attempt { return readNote[attempt](h.attemptPath(stack)) }

func (h *base) saveAttempt(stack string, u attempt) error {
	u.At = time.Now().UTC()
	return writeNote(h.attemptPath(stack), &u)
}

// target distinguishes the versions that a stack may be asked to run.
func target(st agentapi.Stack) string { return fmt.Sprint(st.Project.Hash, " ", st.Images) }

// under reports whether an attempt is under way, so that the data may be between
// two versions.
func (u attempt) under() bool { return u.State == attemptTrying || u.State == attemptBack }

// wish is what the volumes' markers call the way back.
func (u attempt) wish() string { return fmt.Sprintf("back-%.12s-%.12s", u.Commit, u.Before) }

// upgrade readies a stack with data for another image: a snapshot while it runs,
// the images, a stop, and a small last snapshot of everything that the version
// before has acknowledged. When that can't be, the version before runs on.
func (r *run) upgrade(ctx context.Context, s *Stack, d *stack.Deployment) error {
	if len(s.protected()) == 0 || r.attempt(s.Name).under() {
		return nil
	}
	seen, err := r.Stacks.Observe(ctx, s.Name)
	if noEngine(err) {
		return nil
	}
	if err != nil {
		return err
	}
	changed := imageChange(seen[0].Record, *d)
	if changed == "" || s.allReady() != nil {
		return nil
	}
	if seen[0].Running() {
		progress.Scope{Sink: r.sink, Stack: s.Name}.Note(changed + ": taking a snapshot first")
		if _, err := r.takeLocked(ctx, s, taking{sink: r.sink}); err != nil {
			return fmt.Errorf("%s, and the snapshot before it failed: %w", changed, err)
		}
	}
	hold.At(ctx, "upgrade-taken")
	if err := r.ready(ctx, s); err != nil {
		return err
	}
	u := attempt{State: attemptTrying, Commit: r.spec.Commit, Target: target(s.Stack)}
	if u.Built, err = r.Stacks.Built(ctx, s.Name); err != nil {
		return err
	}
	if err := r.phase("pull images", s.Name, func() error {
		var err error
		d.Images, err = r.Stacks.Fetch(ctx, *d, r.sink)
		return err
	}); err != nil {
		return err
	}
	u.Images = d.Images
	if err := r.lastOf(ctx, s, &u); err != nil {
		back := context.WithoutCancel(ctx)
		return errors.Join(fmt.Errorf("%s, and the last snapshot before it failed: %w", changed, err), r.Stacks.OpenGate(back, s.Name), r.Stacks.Start(back, s.Name, r.sink))
	}
	hold.At(ctx, "upgrade-stopped")
	return nil
}

// lastOf stops the version before and takes its last snapshot.
func (r *run) lastOf(ctx context.Context, s *Stack, u *attempt) error {
	end := progress.Scope{Sink: r.sink, Stack: s.Name}.Step("stop", "")
	err := r.halt(ctx, s)
	end(err, "")
	if err != nil {
		return err
	}
	hold.At(ctx, "upgrade-halted")
	last, err := r.takeLocked(ctx, s, taking{stopped: true, sink: r.sink})
	if err != nil {
		return err
	}
	u.Before = last.Snapshot.ID
	return r.saveAttempt(s.Name, *u)
}

// goOn finishes what an earlier run has begun: a way back, and, where something else
// is to be deployed by now, an attempt whose end was not seen.
func (r *run) goOn(ctx context.Context, s *Stack, d stack.Deployment) error {
	u := r.attempt(s.Name)
	if !u.under() || u.State == attemptTrying && u.Target == target(s.Stack) {
		return nil
	}
	if u.State == attemptTrying {
		u.Why = "it was interrupted"
	}
	err := r.goBack(ctx, s, d, u)
	if err == nil && u.Target == target(s.Stack) {
		err = fmt.Errorf("deploy %s: %s", s.Name, u.Why)
	}
	return err
}

// gaveUp turns a deploy that failed into what it left behind: for one whose data
// was at stake that is the version before on its own data.
func (r *run) gaveUp(ctx context.Context, s *Stack, d stack.Deployment, failed error) error {
	u := r.attempt(s.Name)
	if ctx.Err() != nil {
		return failed
	}
	if u.State != attemptTrying {
		u = attempt{State: attemptFailed, Commit: r.spec.Commit, Target: target(s.Stack), Why: failed.Error()}
		if err := r.saveAttempt(s.Name, u); err != nil {
			r.trouble("attempts", err)
		}
		return failed
	}
	u.Why = failed.Error()
	if err := r.goBack(ctx, s, d, u); err != nil {
		return errors.Join(failed, fmt.Errorf("the return to the previous version is not finished, salvord continues it: %w", err))
	}
	u = r.attempt(s.Name)
	return errors.Join(failed, errors.New(u.wentBack()))
}

// wentBack says what runs, and where everything is.
func (u attempt) wentBack() string {
	if u.Before == "" {
		return "the previous version runs"
	}
	text := fmt.Sprintf("the previous version runs again, with its own data (snapshot %.8s)", u.Before)
	if u.After != "" {
		text += fmt.Sprintf("; the data written by the new version is snapshot %.8s, which is only restored by its id", u.After)
	}
	return text
}

// goBack has the version before run again on the data that it left. Interrupted at
// any point, it is called again.
func (r *run) goBack(ctx context.Context, s *Stack, d stack.Deployment, u attempt) error {
	u.State = attemptBack
	if err := r.saveAttempt(s.Name, u); err != nil {
		return err
	}
	hold.At(ctx, "upgrade-failed")
	if err := r.halt(ctx, s); err != nil {
		return err
	}
	if !r.asBefore(s, u) {
		r.takeAfter(ctx, s, &u)
		hold.At(ctx, "upgrade-after")
		if err := r.dataBack(ctx, s, u); err != nil {
			return err
		}
	}
	hold.At(ctx, "upgrade-back")
	if err := r.mayStart(ctx, s); err != nil {
		return err
	}
	if err := r.deliver(s); err != nil {
		return err
	}
	if err := r.Stacks.OpenGate(ctx, s.Name); err != nil {
		return err
	}
	if err := r.Stacks.PutBack(ctx, d, u.Built, r.sink); err != nil {
		return err
	}
	u.State = attemptFailed
	return r.saveAttempt(s.Name, u)
}

// asBefore reports whether the data is what the version before left: the new one
// never touched it, or it is back already.
func (r *run) asBefore(s *Stack, u attempt) bool {
	if s.allReady() != nil {
		return false
	}
	if s.inPlace(u.wish()) {
		return true
	}
	for _, v := range s.protected() {
		if r.Snapshots.Holding(s.Name, v) != u.Before {
			return false
		}
	}
	return true
}

// takeAfter takes what the new version wrote as a snapshot that is not on the stack's
// line. If that is not possible it is kept next to the volume, as all replaced data.
func (r *run) takeAfter(ctx context.Context, s *Stack, u *attempt) {
	if u.After != "" || s.allReady() != nil {
		return
	}
	taken, err := r.takeLocked(ctx, s, taking{stopped: true, force: true, accept: true, keep: true, diverged: true, images: u.Images, sink: r.sink})
	if err == nil {
		u.After = taken.Snapshot.ID
		err = r.saveAttempt(s.Name, *u)
	}
	if err != nil {
		r.warn(s.Name, finding.Finding{
			Code: finding.SnapshotFailed, Severity: finding.Warning, Subject: r.spec.Name + "/" + s.Name,
			Text: fmt.Sprintf("the data written by the new version is not in any snapshot (%v); it is kept next to the volumes", err), Fix: "look " +
				"for *.salvor-old-* next to the volumes",
		})
	}
}

// dataBack puts the last snapshot of the version before in place.
func (r *run) dataBack(ctx context.Context, s *Stack, u attempt) error {
	from, err := holding(s.Name, s.Targets, u.Before, r.lister(ctx, s))
	if err != nil {
		return err
	}
	repo, err := r.repository(ctx, s, from)
	if err != nil {
		return err
	}
	defer repo.close(ctx) //nolint:errcheck // only read from
	job := r.restoreJob(s, repo, u.Before, s.protected(), &besideDatabase{host: r.base, stack: s.Stack, images: s.Images, sink: r.sink})
	job.Wish = u.wish()
	fetched, err := r.download(ctx, s, job)
	if err != nil {
		return err
	}
	return r.place(ctx, s, fetched, s.protected())
}

// attemptFindings says that something else runs than what the host was asked for, and
// why.
func attemptFindings(s *Stack, seen stack.State) []finding.Finding {
	u, run := s.attempt(s.Name), s.runNote(s.Name)
	if s.Stopped || s.Kept || seen.Untouched(deployment(s.Spec, s.Stack, nil)) {
		return nil
	}
	f := finding.Finding{
		Code: finding.NotAsCommitted, Severity: finding.Warning, Subject: s.Spec.Name + "/" + s.Name,
		Text: fmt.Sprintf("commit %.7s did not start: %s; commit %.7s runs", u.Commit, u.Why, seen.Record.Commit),
		Fix:  "salvor rollback " + s.Name + ", or correct it and run salvor apply",
	}
	pending := s.pending(s.Name, seen)
	switch {
	case !u.under() && run.What != "":
		f.Text = fmt.Sprintf("a %s has been running since %s, or it was interrupted and salvord will continue it", run.What, run.At.Format(time.DateTime))
		f.Fix = "nothing to do; salvor apply continues it at once"
	case u.State == "" && pending == "":
		return nil
	case u.State == "":
		f.Text = fmt.Sprintf("commit %.7s was not deployed; commit %.7s runs", pending, seen.Record.Commit)
		f.Fix = "salvor apply"
	case u.State == attemptTrying:
		f.Text = fmt.Sprintf("commit %.7s is being deployed, or its deploy was interrupted", u.Commit)
		f.Fix = "salvor apply continues it"
	case u.State == attemptBack:
		f.Text = fmt.Sprintf("commit %.7s did not start: %s; the return to the previous version is not finished, salvord continues it", u.Commit, u.Why)
		f.Fix = "bring the snapshot remote back; salvor apply continues at once"
	case u.Before != "":
		f.Text = fmt.Sprintf("commit %.7s did not start: %s; %s", u.Commit, u.Why, u.wentBack())
	case !seen.Deployed:
		f.Text = fmt.Sprintf("commit %.7s did not start: %s", u.Commit, u.Why)
		f.Fix = "salvor logs " + s.Name + ", then correct it and run salvor apply"
	}
	return []finding.Finding{f}
}
