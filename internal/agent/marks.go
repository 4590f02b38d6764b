package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/journal"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/snapshot/repository"
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
func (h *Host) learn(ctx context.Context, spec agentapi.Host, st agentapi.Stack, a *access) {
	if a.proven != nil {
		return
	}
	a.proven = map[string]record.Proven{}
	rec, err := a.record(ctx, spec.Record)
	if err != nil {
		return
	}
	all, err := rec.Proven(ctx, st.Name)
	if err := errors.Join(err, rec.close(ctx)); err != nil {
		h.record(journal.Entry{Kind: "proven", Stack: st.Name, Error: err.Error()})
	}
	for _, p := range all {
		a.proven[p.Repository] = p
	}
}

// mark returns the newest proven snapshot of a repository that is known.
func (h *Host) mark(a *access, stack, id string) snapshot.Mark {
	m := h.repositoryNotes(stack)[id].Mark
	if p, ok := a.proven[id]; ok {
		if told := (snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.Snapshot, At: p.At}); told.Newer(m) {
			m = told
		}
	}
	return m
}

// found lists what a restore would pick from. Where the newest snapshot that is
// known of the stack is not listed, the listing may be late, and is waited for;
// then it is errMissing, or given up where the operator said so.
func (h *Host) found(ctx context.Context, spec agentapi.Host, st agentapi.Stack, a *access) ([]listing, error) {
	h.learn(ctx, spec, st, a)
	for began := time.Now(); ; {
		listed, err := listings(st.Targets, h.lister(ctx, st, a))
		missing := h.ahead(st, a, listed)
		if missing.Zero() || missing.ID == a.givenUp.ID {
			return listed, err
		}
		late := time.Since(began) > h.late()
		switch {
		case err == nil && late && h.givesUp(st):
			a.givenUp = missing
			return listed, nil
		case err != nil || late: // what does not answer may have it
			return listed, errors.Join(err, missingError(st.Name, missing, listed))
		}
		if err := pause(ctx, min(listAgain, h.late())); err != nil {
			return listed, err
		}
	}
}

func (h *Host) late() time.Duration {
	if h.Late > 0 {
		return h.Late
	}
	return listedWithin
}

// givesUp reports whether the operator gave up what the remote has lost. That was
// said of a lost host's stacks, so of none that ran here already.
func (h *Host) givesUp(st agentapi.Stack) bool {
	return st.AcceptLoss && h.local(st.Name).Epoch < st.Epoch
}

func missingError(stack string, m snapshot.Mark, listed []listing) error {
	hint := fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); no other snapshot is left, so where it is lost for good: salvor apply --fresh %s starts empty", stack)
	if left := candidates(listed); len(left) > 0 {
		hint = fmt.Sprintf("bring it back on the remote (is a disk not mounted there?); salvor restore %s --snapshot ID goes on with another one, and salvor recover with --accept-loss with the newest that is left, %s; what came after it is lost", stack, dated(left[0].info.ID, left[0].info.Time))
	}
	return fault.WithHint(fmt.Errorf("%s: snapshot %s (epoch %d, number %d in repository %s) was proven: %w", stack, dated(m.ID, m.At), m.Epoch, m.Seq, m.Repository, errMissing), hint)
}

// dated names a snapshot with its time, where that is known.
func dated(id string, at time.Time) string {
	if at.IsZero() {
		return fmt.Sprintf("%.8s", id)
	}
	return fmt.Sprintf("%.8s of %s", id, at.UTC().Format(time.DateTime))
}

// lossAccepted says what was restored in place of a snapshot that was given up.
func lossAccepted(host, stack string, m snapshot.Mark, taken snapshot.Info) finding.Finding {
	span := ""
	if d := m.At.Sub(taken.Time); d > 0 {
		span = fmt.Sprintf(", that is %s at least", d.Round(time.Second))
	}
	return finding.Finding{
		Code: finding.SnapshotMissing, Severity: finding.Warning, Subject: host + "/" + stack,
		Text: fmt.Sprintf("snapshot %s is missing on the remote and was given up; %s was restored, and what was written after it is lost%s", dated(m.ID, m.At), dated(taken.ID, taken.Time), span),
		Fix:  "nothing to do; salvor snapshot ls " + stack + " shows what is left",
	}
}

// missed says which targets lack the newest snapshot that was proven on them.
func (h *Host) missed(host string, st agentapi.Stack, a *access, listed []listing) []finding.Finding {
	var found []finding.Finding
	for _, l := range listed {
		m := h.mark(a, st.Name, l.target.Repository)
		if !m.Missing(l.Listing) {
			continue
		}
		found = append(found, finding.Finding{
			Code: finding.SnapshotMissing, Severity: finding.Warning, Subject: host + "/" + st.Name,
			Text: fmt.Sprintf("snapshot %s was proven and is not on %s any more: is a disk not mounted there?", dated(m.ID, m.At), l.target.Name),
			Fix:  fmt.Sprintf("bring it back; once it is gone for good: salvor snapshot take %s --accept-loss takes a new one of what is on the host", st.Name),
		})
	}
	return found
}

// ahead returns the newest snapshot that is known of the stack when no listing
// has it or anything newer, else the zero Mark. A newer repository is newer,
// whatever the numbers.
func (h *Host) ahead(st agentapi.Stack, a *access, listed []listing) snapshot.Mark {
	var best snapshot.Mark
	youngest := -1
	ages := map[string]int{}
	for _, t := range st.Targets {
		for age, one := range t.Line() {
			ages[one.Repository] = age
			m := h.mark(a, st.Name, one.Repository)
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
	return finding.Finding{
		Code: finding.SnapshotMissing, Severity: finding.Fatal, Subject: host + "/" + stack,
		Text: fmt.Sprintf("repository %s is not on %s any more, and snapshot %.8s was taken into it: is a disk not mounted there?", t.Repository, t.Name, m.ID),
		Fix:  "bring it back; once it is gone for good: salvor snapshot take " + stack + " --accept-loss",
	}
}

// prove writes down on the record remote how far the stack has come. What can't
// be written now is written with the next snapshot; this host's note has it.
func (h *Host) prove(ctx context.Context, spec agentapi.Host, st agentapi.Stack, a *access, m snapshot.Mark, spare repository.Spare) {
	rec, err := a.record(ctx, spec.Record)
	if err == nil {
		p := record.Proven{Epoch: m.Epoch, Seq: m.Seq, Repository: m.Repository, Snapshot: m.ID, At: time.Now(), Key: spare.Key, Config: spare.Config}
		err = errors.Join(rec.Prove(ctx, st.Name, p), rec.close(ctx))
	}
	if err != nil {
		h.record(journal.Entry{Kind: "proven", Stack: st.Name, Error: err.Error()})
	}
}
