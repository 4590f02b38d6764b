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
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// errMissing is wrapped by errors that mean: a snapshot that is known to have
// been proven is not listed.
var errMissing = errors.New("the remote does not list it")

// listedWithin is how long a listing may lag behind what was written.
const (
	listedWithin = time.Minute
	listAgain    = 5 * time.Second
)

// learn asks the record remote, once, how far the stack's snapshots had come.
// While it is away only this host's notes say so.
func (k *keeper) learn(ctx context.Context, s *Stack) {
	if s.access.proven != nil {
		return
	}
	s.access.proven = map[string]record.Proven{}
	rec, err := s.access.record(ctx, s.Spec.Record)
	if err != nil {
		s.access.silent = err
		return
	}
	all, ignored, err := rec.Proven(ctx, s.Name, s.Epoch)
	_, facts, _ := rec.Facts(ctx, s.Name, s.Epoch) // only an apply needs them; forged ones are named earlier
	s.access.ignored = slices.Concat(ignored, facts, rec.ignored)
	if s.access.silent = errors.Join(err, rec.close(ctx)); s.access.silent != nil {
		k.record(journal.Entry{Kind: "proven", Stack: s.Name, Error: s.access.silent.Error()})
	}
	for _, p := range all {
		s.access.proven[p.Repository] = p
	}
}

// lockedMarks are the marks that salvor.lock has of a stack's repositories.
func lockedMarks(st agentapi.Stack) map[string]snapshot.Mark {
	marks := map[string]snapshot.Mark{}
	for id, p := range st.Proven {
		if p.Epoch <= st.Epoch {
			marks[id] = snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.ID}
		}
	}
	return marks
}

// mark returns the newest proven snapshot of a repository that is known.
func (k *keeper) mark(s *Stack, id string) snapshot.Mark {
	return k.trust(s, id).Proven
}

// trust says which of a repository's snapshots this host believes: by its own note,
// the record remote or the lock, whichever knows the newest. Anyone who can delete on
// the remotes can't make all three forget.
func (k *keeper) trust(s *Stack, id string) snapshot.Trust {
	a, note := s.access, k.repositoryNotes(s.Name)[id]
	t := snapshot.Trust{Epoch: a.epoch, Proven: note.Mark, Known: note.Known}
	if p, ok := a.proven[id]; ok {
		if said := (snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.Snapshot, At: p.At}); said.Newer(t.Proven) {
			t.Proven, t.Known = said, p.Known
			if t.Known != nil {
				t.Known = append(t.Known, note.Known...) // one of this host's own may have been interrupted
			}
		}
	}
	if locked := a.locked[id]; locked.Newer(t.Proven) {
		t.Proven, t.Known = locked, nil
	}
	return t
}

// found lists what a restore would pick from. Where the newest snapshot that is
// known of the stack is not listed, the listing may be late, and is waited for;
// then it is errMissing, or given up where the operator said so.
func (k *keeper) found(ctx context.Context, s *Stack) ([]listing, error) {
	k.learn(ctx, s)
	for began := time.Now(); ; {
		listed, err := listings(s.Targets, k.lister(ctx, s))
		missing := k.ahead(s, listed)
		if missing.Zero() || missing.ID == s.access.givenUp.ID {
			return listed, errors.Join(err, s.access.untold(s.Name, listed))
		}
		late := time.Since(began) > k.late()
		switch {
		case err == nil && late && k.givesUp(s):
			s.access.givenUp = missing
			return listed, nil
		case err != nil || late: // what does not answer may have it
			return listed, errors.Join(err, missingError(s.Name, missing, listed))
		}
		if err := pause(ctx, min(listAgain, k.late())); err != nil {
			return listed, err
		}
	}
}

func (k *keeper) late() time.Duration {
	if k.Late > 0 {
		return k.Late
	}
	return listedWithin
}

// givesUp reports whether the operator gave up what the remote has lost. That was
// said of a lost host's stacks, so of none that ran here already.
func (k *keeper) givesUp(s *Stack) bool {
	return s.AcceptLoss && k.local(s.Name).Epoch < s.Epoch
}

func missingError(stack string, m snapshot.Mark, listed []listing) error {
	hint := fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); no other snapshot is left, so if it "+
		"is lost permanently: salvor apply --fresh %s starts empty", stack)
	if left := candidates(listed); len(left) > 0 {
		hint = fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); or use another one: salvor "+
			"restore %s --snapshot ID, or salvor recover with --accept-loss for the newest that is left, %s; data "+
			"written after it is lost", stack, dated(left[0].info.ID, left[0].info.Time))
	}
	return fault.WithHint(fmt.Errorf("%s: snapshot %s (epoch %d, number %d in repository %s) was proven: %w", stack, dated(m.ID, m.At), m.Epoch, m.Seq, m.Repository, errMissing), hint)
}

// untold refuses to choose while snapshots are newer than those known to be proven
// and the record remote, which may know of them, does not answer.
func (a *access) untold(stack string, listed []listing) error {
	for _, l := range listed {
		if n := len(l.Unproven); n > 0 && a.silent != nil {
			newest := l.Unproven[n-1]
			return fault.WithHint(fmt.Errorf("%s: cannot find out whether snapshot %s was proven: the record does not answer: %w", stack, dated(newest.ID, newest.Time), a.silent),
				fmt.Sprintf("bring the record remote back; salvor restore %s --snapshot ID chooses one without it", stack))
		}
	}
	return nil
}

// dated names a snapshot with its time, where that is known.
func dated(id string, at time.Time) string { return snapshot.Mark{ID: id, At: at}.String() }

// lossAccepted says what was restored in place of a snapshot that was given up.
func lossAccepted(host, stack string, m snapshot.Mark, taken snapshot.Info) finding.Finding {
	span := ""
	if d := m.At.Sub(taken.Time); d > 0 {
		span = fmt.Sprintf(", that is %s at least", d.Round(time.Second))
	}
	return finding.Finding{
		Code: finding.SnapshotRolledBack, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: fmt.Sprintf("snapshot %s is missing on the remote and was given up; %s was restored, and data written after it is lost%s", dated(m.ID, m.At), dated(taken.ID, taken.Time), span),
		Fix:  "nothing to do; salvor snapshot ls " + stack + " lists what is left",
	}
}

// history says which targets lack the newest snapshot that was proven on them, and
// which snapshots are skipped.
func (k *keeper) history(s *Stack, listed []listing) []finding.Finding {
	found := record.Findings(s.Name, s.access.ignored)
	for _, l := range listed {
		if f, lost := k.mark(s, l.target.Repository).Lost(l.Listing, s.Name, l.target.Name); lost {
			found = append(found, f)
		}
		found = append(found, l.Distrusted(s.Name)...)
	}
	return onHost(s.Spec.Name, s.Name, found)
}

// onHost gives findings about a stack's history the host that has seen them. They
// keep that stack alone from being restored, whatever their severity.
func onHost(host, stack string, found []finding.Finding) []finding.Finding {
	for i := range found {
		if aboutHistory(found[i]) {
			found[i].Subject, found[i].Stack = host+"/"+stack, stack
		}
	}
	return found
}

// historyNoted is what the last snapshot found out about the stack's history, for
// reports that don't ask the remote. Who starts fresh gives it up.
func (k *keeper) historyNoted(s *Stack) []finding.Finding {
	if s.Consent == project.ConsentFresh || k.local(s.Name).Lost {
		return nil
	}
	noted := slices.DeleteFunc(k.kept(s.Name).Findings, func(f finding.Finding) bool { return !aboutHistory(f) })
	return onHost(s.Spec.Name, s.Name, noted)
}

func aboutHistory(f finding.Finding) bool {
	return slices.Contains([]finding.Code{finding.HistoryLost, finding.SnapshotRolledBack, finding.SnapshotFuture, finding.SnapshotUnproven}, f.Code)
}

// ahead returns the newest snapshot that is known of the stack when no listing
// has it or anything newer, else the zero Mark. A newer repository is newer,
// whatever the numbers.
func (k *keeper) ahead(s *Stack, listed []listing) snapshot.Mark {
	var best snapshot.Mark
	youngest := -1
	ages := map[string]int{}
	for _, t := range s.Targets {
		for age, one := range t.Line() {
			ages[one.Repository] = age
			m := k.mark(s, one.Repository)
			if m.Zero() || youngest >= 0 && (age > youngest || age == youngest && !m.Newer(best)) {
				continue
			}
			best, youngest = m, age
		}
	}
	for _, l := range listed {
		_, some := snapshot.Newest(l.Infos)
		if age := ages[l.target.Repository]; age < youngest && some || age == youngest && !best.Missing(l.Listing) {
			return snapshot.Mark{}
		}
	}
	return best
}

// gone is the finding about a repository that is not there any more.
func gone(host, stack string, t agentapi.Target, m snapshot.Mark) finding.Finding {
	f, _ := m.Lost(snapshot.Listing{}, stack, t.Name)
	return onHost(host, stack, []finding.Finding{f})[0]
}

// prove writes down on the record remote how far the stack has come, and reports
// whether it is there. What can't be written now is written with the next snapshot;
// this host's note has it.
func (k *keeper) prove(ctx context.Context, s *Stack, n repositoryNote) bool {
	rec, err := s.access.record(ctx, s.Spec.Record)
	if err == nil {
		m := n.Mark
		p := record.Proven{Epoch: m.Epoch, Seq: m.Seq, Repository: m.Repository, Snapshot: m.ID, At: time.Now(), Known: n.Known, Key: n.Spare.Key, Config: n.Spare.Config}
		err = errors.Join(rec.Prove(ctx, s.Name, p), rec.close(ctx))
	}
	if err != nil {
		k.record(journal.Entry{Kind: "proven", Stack: s.Name, Error: err.Error()})
	}
	return err == nil
}
