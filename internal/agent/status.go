package agent

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/ownership"
	"salvor/internal/agent/publishing"
	"salvor/internal/agentapi"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/record"
	"salvor/internal/snapshot"
	"salvor/internal/storage"
	"salvor/internal/version"
)

// Status says how the host's stacks are: what runs, whether their data is
// ready, which snapshot is newest on the remote.
func (h *Host) Status(ctx context.Context, _ agentapi.Observe, _ progress.Sink) (agentapi.HostState, error) {
	state := agentapi.HostState{Schema: agentapi.Schema, Salvord: version.String()}
	spec, err := h.base().ReadSpec()
	if err != nil {
		state.Findings = []finding.Finding{unreadable("this host", err.Error())}
		return state, nil
	}
	state.Commit, state.Findings = spec.Commit, slices.Concat(h.noteFindings(spec), membershipFindings(ctx, h.Machine, spec), publishing.Findings(h.base(), spec, h.Edges.Time()))
	if err := h.observeStacks(ctx, spec, &state); err != nil {
		return state, err
	}
	if state.Projects, err = ownProjects(ctx, h.Stacks, spec.Projects); err != nil {
		return state, err
	}
	k := h.keeper()
	defer k.Close(ctx)
	verdicts := k.Guard.Verdicts(ctx, spec)
	missed := make([][]finding.Finding, len(state.Stacks))
	all, within := errgroup.WithContext(ctx)
	for i := range state.Stacks {
		s := &state.Stacks[i]
		at := slices.IndexFunc(spec.Stacks, func(st agentapi.Stack) bool { return st.Name == s.Name })
		if at < 0 {
			continue
		}
		st := spec.Stacks[at]
		s.Stopped = st.Stopped
		s.Verdict = agentapi.Verdict(verdicts[st.Name].State)
		s.Schedule = keeper.ScheduleOf(k, spec, st)
		local := h.base().Local(st.Name)
		data := k.Condition(st.Name)
		state.Findings = append(state.Findings, ownershipFindings(spec.Name, st, local, verdicts[st.Name])...)
		if !st.Stopped && !local.Lost && len(h.base().At(spec, st).Protected()) > 0 {
			state.Findings = append(state.Findings, data.Report(spec.Name, st)...)
			state.Findings = append(state.Findings, k.LastingFindings(spec.Name, st, h.Edges.Time())...)
		}
		state.Findings = append(state.Findings, k.SetAsideFindings(h.base().At(spec, st))...)
		state.Findings = append(state.Findings, h.base().At(spec, st).SharedFindings(h.Edges.Time())...)
		if s.Shared, err = h.base().At(spec, st).SharedState(); err != nil {
			return state, err
		}
		all.Go(func() (err error) {
			missed[i], err = h.describe(within, h.base().At(spec, st), s)
			return err
		})
	}
	state.Findings = append(state.Findings, ownFindings(k, spec)...)
	err = all.Wait()
	for _, f := range slices.Concat(missed...) {
		if !slices.ContainsFunc(state.Findings, func(o finding.Finding) bool { return o.Code == f.Code && o.Subject == f.Subject }) {
			state.Findings = append(state.Findings, f)
		}
	}
	for _, s := range state.Stacks {
		state.Findings = append(state.Findings, ungated(spec.Name, s)...)
	}
	frozen, ferr := k.FrozenFindings(spec.Name, state.Stacks)
	state.Findings, state.Clock = append(state.Findings, frozen...), h.Edges.Time().UTC()
	return state, errors.Join(err, ferr)
}

// ungated says which services Docker itself may start after a boot.
func ungated(host string, s agentapi.StackState) []finding.Finding {
	if len(s.Ungated) == 0 {
		return nil
	}
	return []finding.Finding{{
		Code: finding.Ungated, Severity: finding.Warning, Subject: host + "/" + s.Name,
		Text: "Docker itself may start " + strings.Join(s.Ungated, ", ") + " after a boot", Fix: "nothing to do now; their next change recreates them",
	}}
}

// keptOutside are the mounts of a stack that something else than Salvor keeps.
func keptOutside(volumes []project.Volume) []string {
	var all []string
	for _, v := range volumes {
		if v.Protect == fleet.External {
			all = append(all, cmp.Or(v.Source, v.Name))
		}
	}
	return all
}

// describe says how one stack is, and returns what is wrong with the history of its
// snapshots.
func (h *Host) describe(ctx context.Context, s *here.Stack, row *agentapi.StackState) ([]finding.Finding, error) {
	seen, err := h.Stacks.Observe(ctx, s.Name)
	if err != nil {
		return nil, err
	}
	if row.Services, err = h.rows(ctx, seen[0]); err != nil {
		return nil, err
	}
	row.Failed = failedDeploy(s, seen[0])
	found := h.serviceFindings(ctx, s, row.Services)
	for _, v := range s.Protected() {
		m := h.Snapshots.Marker(s.Name, v.Name)
		found, err := snapshot.Look(v, m, s.Identity(v.Name))
		if err != nil {
			return nil, err
		}
		row.Volumes = append(row.Volumes, agentapi.VolumeRow{Name: v.Name, Ready: found == snapshot.Marked && m.Epoch == s.Epoch, State: string(m.State)})
	}
	row.Outside = keptOutside(s.Volumes)
	kept := h.keeper().Condition(s.Name)
	opened, err := s.Open()
	if err != nil {
		row.Targets = kept.Ages(s.Stack, nil)
		return append(found, keeper.Late(s.Spec.Name, *row, h.Edges.Time())...), nil //nolint:nilerr // a seal or a key that is gone has its own finding; the row has no snapshot
	}
	s = opened
	ctx, cancel := context.WithTimeout(ctx, ownership.AskWithin)
	defer cancel()
	keeper.ArchiveOf(s).LearnProven(ctx)
	newest, listed, err := keeper.ArchiveOf(s).Newest(ctx)
	row.Targets = kept.Ages(s.Stack, listed)
	switch i := newest.Info; {
	case err == nil:
		row.Snapshot = &agentapi.SnapshotInfo{ID: i.ID, Epoch: i.Epoch, Seq: i.Seq, Began: i.Time}
	case len(s.Protected()) > 0 && len(s.Targets) > 0 && !onlyNone(err):
		row.SnapshotUnknown = err.Error()
	}
	found = append(found, denied(s.Spec.Name, errors.Join(err, s.Access.Silent))...)
	found = append(found, keeper.Late(s.Spec.Name, *row, h.Edges.Time())...)
	switch {
	case h.base().Local(s.Name).Lost:
		return nil, nil
	case len(listed) == 0:
		return append(found, h.keeper().HistoryNoted(s)...), nil
	}
	return append(found, keeper.ArchiveOf(s).History(listed)...), nil
}

// denied says which remote refuses the login that this host has.
func denied(host string, err error) []finding.Finding {
	var d *storage.Denied
	if !errors.As(err, &d) {
		return nil
	}
	return []finding.Finding{{
		Code: finding.RemoteDenied, Severity: finding.Warning, Subject: host + "/" + d.Remote,
		Text: d.Error() + ": it has ended or was revoked; snapshots wait until it is renewed", Fix: d.Fix(),
	}}
}

// onlyNone reports whether an error says that there is no snapshot, and not that
// a target could not be asked.
func onlyNone(err error) bool {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return errors.Is(err, snapshot.ErrNoSnapshot) || errors.Is(err, snapshot.ErrNoRepository)
	}
	return !slices.ContainsFunc(joined.Unwrap(), func(err error) bool { return !onlyNone(err) })
}

// ownershipFindings says what is worth knowing about whose a stack is.
func ownershipFindings(host string, st agentapi.Stack, local here.Local, v record.Verdict) []finding.Finding {
	all := ruled(host, st, local, v)
	if v.Off != "" {
		all = append(all, finding.Finding{
			Code: finding.ClaimOffBranch, Severity: finding.Warning, Subject: host + "/" + st.Name,
			Text: v.Off + ": it was made while the Git host was down and is not pushed yet, or the branch was reset to an earlier commit",
			Fix:  "push the commit from the clone that made it; salvor claim ls " + st.Name + " shows the claim",
		})
	}
	for _, i := range v.Ignored {
		all = append(all, finding.Finding{
			Code: finding.ClaimIgnored, Severity: finding.Warning, Subject: i.Path,
			Text: "not a claim of the fleet, ignored: " + i.Text(), Fix: "find out who wrote it: every host can write to the record remote; salvor claim drop " + st.Name + " CLAIM deletes it",
		})
	}
	return all
}

func ruled(host string, st agentapi.Stack, local here.Local, v record.Verdict) []finding.Finding {
	f := finding.Finding{Severity: finding.Warning, Subject: host + "/" + st.Name, Text: v.Reason}
	switch {
	case v.State == record.Lost:
		f.Code, f.Severity = finding.Fenced, finding.Info
		f.Fix = "nothing to do: it is stopped here and its data is kept"
	case local.ReleasedAt(st.Epoch):
		f.Code, f.Text = finding.HandedOver, "handed over for a move that did not finish"
		f.Fix = "run the move again, or run salvor apply to start it where it was"
	case v.Unfenced && !st.Stopped:
		f.Code, f.Fix = finding.UnfencedStart, "bring Git or the remote back; the check is repeated"
	case v.Claim != "":
		f.Code, f.Text = finding.ClaimMissing, v.Claim+"; "+v.Reason
		f.Fix = "salvor apply puts it back"
	default:
		return nil
	}
	return []finding.Finding{f}
}

// ownFindings say how what the host has of its own is kept.
func ownFindings(k *keeper.Keeper, spec agentapi.Host) []finding.Finding {
	if spec.Own == nil || len(spec.Own.Volumes) == 0 {
		return nil
	}
	return append(k.Condition(spec.Own.Name).Report(spec.Name, *spec.Own), k.LastingFindings(spec.Name, *spec.Own, k.Edges.Time())...)
}
