package keeper

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
)

// ErrMissing is wrapped by errors that mean: a snapshot that is known to have
// been proven is not listed.
var ErrMissing = snapshot.ErrMissing

// listedWithin is how long a listing may lag behind what was written.
const (
	listedWithin = time.Minute
	listAgain    = 5 * time.Second
)

// LearnProven asks the record remote, once, how far the stack's snapshots had come.
// While it is away only this host's notes say so.
func (a *Archive) LearnProven(ctx context.Context) {
	if a.Access.Proven != nil {
		return
	}
	a.Access.Proven = map[string]record.Proven{}
	if a.IsOwn() {
		return // the record is about what hosts take over
	}
	rec, err := a.Access.Record(ctx, a.Spec.Record)
	if err != nil {
		a.Access.Silent = err
		return
	}
	all, ignored, err := rec.Proven(ctx, a.Name, a.Epoch)
	_, facts, _ := rec.Facts(ctx, a.Name, a.Epoch) // only an apply needs them; forged ones are named earlier
	a.Access.Ignored = slices.Concat(ignored, facts, rec.Ignored)
	if a.Access.Silent = errors.Join(err, rec.Close(ctx)); a.Access.Silent != nil {
		a.Host.Enter(journal.Entry{Kind: "proven", Stack: a.Name, Error: a.Access.Silent.Error()})
	}
	for _, p := range all {
		a.Access.Proven[p.Repository] = p
	}
}

// NewestProven returns the newest proven snapshot of a repository that is known.
func (a *Archive) NewestProven(id string) snapshot.Mark {
	return a.trust(id).Proven
}

// newestKnown is the newest proven snapshot that is known on any target: what is taken next
// is newer, wherever it goes.
func (a *Archive) newestKnown() snapshot.Mark {
	var newest snapshot.Mark
	for _, t := range a.Targets {
		if m := a.NewestProven(t.Repository); m.Newer(newest) {
			newest = m
		}
	}
	return newest
}

// trust says which of a repository's snapshots this host believes: by its own note,
// the record remote or the lock, whichever knows the newest. Anyone who can delete on
// the remotes can't make all three forget.
func (a *Archive) trust(id string) snapshot.Trust {
	note := a.Notes()[id]
	t := snapshot.Trust{Epoch: a.Epoch, Proven: note.Mark, Known: note.Known}
	if p, ok := a.Access.Proven[id]; ok {
		if said := (snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.Snapshot, At: p.At}); said.Newer(t.Proven) {
			t.Proven, t.Known = said, p.Known
			if t.Known != nil {
				t.Known = append(t.Known, note.Known...) // one of this host's own may have been interrupted
			}
		}
	}
	if locked := a.Access.Locked[id]; locked.Newer(t.Proven) {
		t.Proven, t.Known = locked, nil
	}
	return t
}

// ListForRestore lists what a restore would pick from. Where the newest snapshot that is
// known of the stack is not listed, the listing may be late, and is waited for;
// then it is errMissing, or given up where the operator said so. A target that does not answer
// is not waited for where another one has all that it is known to have. Where the operator
// named a target, no other is asked.
func (a *Archive) ListForRestore(ctx context.Context) ([]listing, error) {
	a.LearnProven(ctx)
	targets, err := a.asked()
	if err != nil {
		return nil, err
	}
	for began := time.Now(); ; {
		listed, err := listings(targets, a.Lister(ctx))
		missing := a.missingNewest(targets, listed)
		if missing.Zero() || missing.ID == a.Access.GivenUp.ID {
			return listed, errors.Join(err, undecided(a.Stack, listed))
		}
		late := time.Since(began) > listingLag(a.Host)
		switch {
		case err == nil && late && a.givesUp():
			a.Access.GivenUp = missing
			return listed, nil
		case err != nil || late: // what does not answer may have it
			return listed, errors.Join(err, a.missingError(missing, listed))
		}
		if err := here.Sleep(ctx, min(listAgain, listingLag(a.Host))); err != nil {
			return listed, err
		}
	}
}

// listingLag is how long a listing may lag behind what was written.
func listingLag(h *here.Host) time.Duration {
	if h.Late > 0 {
		return h.Late
	}
	return listedWithin
}

// givesUp reports whether the operator gave up what the remote has lost. That was
// said of a lost host's stacks, so of none that ran here already.
func (a *Archive) givesUp() bool {
	return a.AcceptLoss && a.Host.Local(a.Name).Epoch < a.Epoch
}

// asked are the targets that a restore takes from.
func (a *Archive) asked() ([]agentapi.Target, error) {
	if a.From == "" {
		return a.Targets, nil
	}
	at := slices.IndexFunc(a.Targets, func(t agentapi.Target) bool { return t.Name == a.From })
	if at < 0 {
		return nil, fault.WithHint(fmt.Errorf("stack %s has no snapshot target %s", a.Name, a.From), "fleet.yaml lists them under data.snapshots")
	}
	return a.Targets[at : at+1], nil
}

// Unheard says which targets were not heard before a snapshot of another one was taken, and
// the age of what each may have, as far as that is known.
func (a *Archive) Unheard(listed []listing, c Candidate, now time.Time) []finding.Finding {
	var found []finding.Finding
	for _, t := range a.Targets {
		if slices.ContainsFunc(listed, func(l listing) bool { return l.target.Name == t.Name }) {
			continue
		}
		why := "did not answer"
		if a.From != "" {
			why = "was not asked (--from " + a.From + ")"
		}
		text := fmt.Sprintf("it %s; snapshot %s of %s was restored", why, dated(c.Info.ID, c.Info.Time), c.Target.Name)
		switch m := a.NewestProven(t.Repository); {
		case m.Zero():
			text += "; it is not known what " + t.Name + " has"
		case m.Newer(snapshot.Mark{Epoch: c.Info.Epoch, Seq: c.Info.Seq}):
			text += fmt.Sprintf("; %s may have a newer one, %s, %s", t.Name, m, age(m, now))
		default:
			text += fmt.Sprintf("; %s may have one, %s, and none that is newer", t.Name, age(m, now))
		}
		found = append(found, finding.Finding{
			Code: finding.TargetSilent, Severity: finding.Warning, Subject: a.Spec.Name + "/" + a.Name + "/" + t.Name, Text: text,
			Fix: "nothing to do, unless newer data is needed: salvor snapshot ls " + a.Name + " lists it once the target answers",
		})
	}
	return found
}

// age is how old what was proven is, as far as that is known.
func age(m snapshot.Mark, now time.Time) string {
	if m.At.IsZero() {
		return "of unknown age"
	}
	return now.Sub(m.At).Round(time.Second).String() + " old"
}

func (a *Archive) missingError(m snapshot.Mark, listed []listing) error {
	stack := a.Name
	hint := fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); no other snapshot is left, so if it "+
		"is lost permanently: salvor apply --fresh %s starts empty", stack)
	if left := Candidates(listed); len(left) > 0 {
		hint = fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); or use another one: salvor "+
			"restore %s --snapshot ID, or salvor recover with --accept-loss for the newest that is left, %s; data "+
			"written after it is lost", stack, dated(left[0].Info.ID, left[0].Info.Time))
		if !slices.ContainsFunc(listed, func(l listing) bool { return l.target.Repository == m.Repository }) {
			hint += fmt.Sprintf("; salvor recover with --from %s takes the newest of %s without asking the others", left[0].Target.Name, left[0].Target.Name)
		}
	}
	return fault.WithHint(fmt.Errorf("%s: snapshot %s (epoch %d, number %d in repository %s) was proven: %w", stack, dated(m.ID, m.At), m.Epoch, m.Seq, m.Repository, ErrMissing), hint)
}

// undecided refuses to choose while snapshots are newer than those known to be proven
// and the record remote, which may know of them, does not answer.
func undecided(s *here.Stack, listed []listing) error {
	for _, l := range listed {
		if n := len(l.Unproven); n > 0 && s.Access.Silent != nil {
			newest := l.Unproven[n-1]
			return fault.WithHint(fmt.Errorf("%s: cannot find out whether snapshot %s was proven: the record does not answer: %w", s.Name, dated(newest.ID, newest.Time), s.Access.Silent),
				fmt.Sprintf("bring the record remote back; salvor restore %s --snapshot ID chooses one without it", s.Name))
		}
	}
	return nil
}

// dated names a snapshot with its time, where that is known.
func dated(id string, at time.Time) string { return snapshot.Mark{ID: id, At: at}.String() }

// LossAccepted says what was restored in place of a snapshot that was given up.
func LossAccepted(host, stack string, m snapshot.Mark, taken snapshot.Info) finding.Finding {
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

// History says which targets lack the newest snapshot that was proven on them, and
// which snapshots are skipped.
func (a *Archive) History(listed []listing) []finding.Finding {
	found := record.Findings(a.Name, a.Access.Ignored)
	for _, l := range listed {
		if f, lost := a.NewestProven(l.target.Repository).Lost(l.Listing, a.Name, l.target.Name); lost {
			found = append(found, f)
		}
		found = append(found, l.Distrusted(a.Name)...)
	}
	return onHost(a.Spec.Name, a.Name, found)
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

// HistoryNoted is what the last snapshot found out about the stack's history, for
// reports that don't ask the remote. Who starts fresh gives it up.
func (k *Keeper) HistoryNoted(s *here.Stack) []finding.Finding {
	if s.Consent == project.ConsentFresh || k.Local(s.Name).Lost {
		return nil
	}
	noted := slices.DeleteFunc(k.Condition(s.Name).Findings(s.Stack), func(f finding.Finding) bool { return !aboutHistory(f) })
	return onHost(s.Spec.Name, s.Name, noted)
}

func aboutHistory(f finding.Finding) bool {
	return slices.Contains([]finding.Code{finding.HistoryLost, finding.SnapshotRolledBack, finding.SnapshotFuture, finding.SnapshotUnproven}, f.Code)
}

// missingNewest returns the newest snapshot that is known of the stack on some targets when
// no listing has it, or a copy of it, or anything newer, else the zero Mark. A newer repository is newer,
// whatever the numbers.
func (a *Archive) missingNewest(targets []agentapi.Target, listed []listing) snapshot.Mark {
	var best snapshot.Mark
	youngest := -1
	ages := map[string]int{}
	for _, t := range targets {
		for age, one := range t.Line() {
			ages[one.Repository] = age
			m := a.NewestProven(one.Repository)
			if m.Zero() || youngest >= 0 && (age > youngest || age == youngest && !m.Newer(best)) {
				continue
			}
			best, youngest = m, age
		}
	}
	for _, l := range listed {
		_, some := snapshot.Newest(l.Infos)
		if age := ages[l.target.Repository]; age < youngest && some || age == youngest && (!best.Missing(l.Listing) || l.copied(best)) {
			return snapshot.Mark{}
		}
	}
	return best
}

// copied reports whether a repository has a copy of another one's snapshot: one with its
// numbers.
func (l listing) copied(m snapshot.Mark) bool {
	return l.target.Repository != m.Repository && slices.ContainsFunc(l.Infos, func(i snapshot.Info) bool {
		return !i.Diverged && i.Epoch == m.Epoch && i.Seq == m.Seq
	})
}

// gone is the finding about a repository that is not there any more.
func gone(host, stack string, t agentapi.Target, m snapshot.Mark) finding.Finding {
	f, _ := m.Lost(snapshot.Listing{}, stack, t.Name)
	return onHost(host, stack, []finding.Finding{f})[0]
}

// prove has the record remote know how far a repository has come, by this host's note. What can't be
// written now is written with the next snapshot, also one that finds nothing new.
func (a *Archive) prove(ctx context.Context, id string) error {
	note, said := a.Notes()[id], a.Access.Proven[id]
	m := note.Mark
	if a.Spec.Record.Remote == "" || a.IsOwn() || note.told(a.Epoch) && a.Access.Proven == nil {
		return nil
	}
	told := func() error { return a.changeRepositoryNote(id, func(n *repositoryNote) { n.Told = m.ID }) }
	if !m.Newer(snapshot.Mark{Epoch: said.Epoch, Seq: said.Seq}) {
		if said.Snapshot == m.ID {
			return told()
		}
		return nil
	}
	rec, err := a.Access.Record(ctx, a.Spec.Record)
	if err == nil {
		p := record.Proven{Epoch: m.Epoch, Seq: m.Seq, Repository: m.Repository, Snapshot: m.ID, At: time.Now(), Bytes: note.Bytes, Known: note.Known, Key: note.Spare.Key, Config: note.Spare.Config}
		if err = errors.Join(rec.Prove(ctx, a.Name, p), rec.Close(ctx)); err == nil {
			err = told()
		}
	}
	if err != nil {
		a.Host.Enter(journal.Entry{Kind: "proven", Stack: a.Name, Error: err.Error()})
	}
	return err
}
