package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agent/publishing"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/finding"
	"salvor/internal/hostpath"
	"salvor/internal/hostprep"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/version"
)

// Observe says what the host is like and what an apply of spec would change.
// Nothing is written.
func (h *Host) Observe(ctx context.Context, req agentapi.Observe, _ progress.Sink) (agentapi.HostState, error) {
	facts, err := hostprep.Look(ctx, h.Machine)
	if err != nil {
		return agentapi.HostState{}, err
	}
	applied, _ := h.base().ReadSpec() // where it can't be read, everything is a change
	req.Host = keepOwn(applied, req.Host)
	state := agentapi.HostState{Schema: agentapi.Schema, Salvord: version.String(), OS: facts.OS.String(), Arch: runtime.GOARCH, Commit: applied.Commit, Recipient: h.base().Recipient(), Signer: h.base().Signer()}
	if damage := h.base().SpecDamage(); damage != nil {
		state.Changes = append(state.Changes, agentapi.Change{ID: "fleet.json", Action: "~", Cause: damage.Error()})
	}
	state.Findings = append(state.Findings, h.noteFindings(req.Host)...)
	plan, err := h.preparation(ctx, facts, req.Host)
	if err != nil {
		return state, err
	}
	state.Changes = append(state.Changes, areaChanges(applied, req.Host, facts)...)
	own, err := planned(ctx, h.Machine, plan)
	if err != nil {
		return state, err
	}
	state.Changes = append(state.Changes, own...)
	membership, err := observeTailnet(ctx, h.Machine, facts, req.Host, &state)
	if err != nil {
		return state, err
	}
	if err := observeWayIn(ctx, h.Machine, req.Host, &state); err != nil {
		return state, err
	}
	if err := h.observeStacks(ctx, req.Host, &state); err != nil {
		return state, err
	}
	state.Findings = append(state.Findings, stillUngated(req.Host.Name, state)...)
	for _, st := range req.Host.Stacks {
		state.Findings = append(state.Findings, h.keeper().HistoryNoted(h.base().At(req.Host, st))...)
	}
	if state.Projects, err = ownProjects(ctx, h.Stacks, req.Host.Projects); err != nil {
		return state, err
	}
	state.Guarded = guarded(applied)
	state.Changes = append(state.Changes, settingsChanges(applied, req.Host, state.Changes)...)
	state.Changes = append(state.Changes, publishing.Kept(h.base())...)
	state.Report = reporter{h.base()}.report(ctx, facts, req.Devices)
	state.Findings = append(state.Findings, publicFindings(req.Host, state.Report.Engine, ownAddresses(), firewallHolds(req.Host, state.Changes))...)
	state.Report.First = keeper.FirstUploads(ctx, h.keeper(), req.Host)
	if state.Report.Engine != nil && state.Report.Engine.Version != "" {
		state.Report.Images = stack.Offers(ctx, h.Stacks, coming(req.Host, state.Stacks))
	}
	state.Clock = h.Edges.Time().UTC()
	state.Fingerprint, err = h.fingerprint(plan.Fingerprint()+membership, req.Host, state.Stacks)
	return state, err
}

// preparation plans what the host itself lacks.
func (h *Host) preparation(ctx context.Context, facts hostprep.Facts, spec agentapi.Host) (*converge.Plan, error) {
	resources, err := hostprep.Resources(facts, startup.PreparationOf(spec))
	if err != nil {
		return nil, err
	}
	return converge.NewPlan(ctx, h.Machine, resources)
}

func (h *Host) observeStacks(ctx context.Context, spec agentapi.Host, state *agentapi.HostState) error {
	known, err := h.base().Known()
	if err != nil {
		return err
	}
	names := stackNames(spec, known)
	seen, err := stack.Wanting(h.Stacks, projectNames(spec)).Observe(ctx, names...)
	engine := err == nil
	if here.NoEngine(err) {
		seen, err = make([]stack.State, len(names)), nil
		for i, name := range names {
			seen[i].Stack = name
		}
	}
	if err != nil {
		return err
	}
	missing, able, err := engineFindings(ctx, h.base(), spec)
	if err != nil {
		return err
	}
	reboot, err := rebootFindings(ctx, h.Machine, spec)
	if err != nil {
		return err
	}
	state.Findings = append(append(state.Findings, missing...), reboot...)
	if err := observeMounts(ctx, h.base(), spec, state); err != nil {
		return err
	}
	for i, st := range spec.Stacks {
		if err := h.observeStack(ctx, h.base().At(spec, st), seen[i], engine && able, state); err != nil {
			return err
		}
	}
	for _, s := range seen {
		i := slices.IndexFunc(spec.Stacks, func(st agentapi.Stack) bool { return st.Name == s.Stack })
		if i < 0 {
			state.Changes = append(state.Changes, agentapi.Change{Stack: s.Stack, ID: "stack", Action: "-", Cause: "not placed here: stopped, its data is kept"})
		}
		one := agentapi.StackState{Name: s.Stack, Epoch: s.Record.Epoch, Commit: s.Record.Commit, Hash: s.Record.Hash, Wanted: i >= 0, Missing: s.Missing, Drifted: s.Drifted, Ungated: s.RunsUngated()}
		if i >= 0 {
			one.Wish = h.base().At(spec, spec.Stacks[i]).Wish()
		}
		state.Stacks = append(state.Stacks, one)
	}
	state.Findings = append(state.Findings, tailnetFindings(ctx, h.base(), spec, state)...)
	return nil
}

// stackNames are those of the stacks that are placed on a host, and then of the others that it knows.
func stackNames(spec agentapi.Host, known []string) []string {
	var names []string
	for _, st := range spec.Stacks {
		names = append(names, st.Name)
	}
	for _, name := range known {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// projectNames are those of Compose projects that have another name than their stack.
func projectNames(spec agentapi.Host) map[string]string {
	names := map[string]string{}
	for _, st := range spec.Stacks {
		names[st.Name] = st.Project.Name
	}
	return names
}

func (h *Host) observeStack(ctx context.Context, s *here.Stack, seen stack.State, able bool, state *agentapi.HostState) error {
	changes, found, err := h.stackChanges(ctx, s, seen)
	if err != nil {
		return err
	}
	state.Changes = append(state.Changes, changes...)
	state.Findings = append(append(state.Findings, found...), startup.WishFindings(s)...)
	state.Findings = append(state.Findings, startup.AttemptFindings(s, seen)...)
	if !s.Stopped {
		state.Findings = append(state.Findings, s.AbsentFindings(seen.Running())...)
	}
	if !able || s.Kept || s.Stopped {
		return nil
	}
	renamed, err := renamed(ctx, s)
	state.Findings = append(state.Findings, renamed...)
	if err != nil || seen.Untouched(s.Deployment()) {
		return err
	}
	refused, err := h.validate(ctx, s)
	state.Findings = append(state.Findings, refused...)
	return err
}

// renamed reports a stack that is to run as another Compose project than its containers.
func renamed(ctx context.Context, s *here.Stack) ([]finding.Finding, error) {
	was, err := stack.Named(s.Host.Stacks, s.Name).Renamed(ctx, s.Project)
	if err != nil || was == "" {
		return nil, err
	}
	return []finding.Finding{{
		Code: finding.ProjectRenamed, Severity: finding.Fatal, Subject: s.Spec.Name + "/" + s.Name,
		Text: fmt.Sprintf("it runs here as the Compose project %s and is to be %s: both would write to its data", was, s.Project.Called(s.Name)), Fix: stack.RenamedFix(was),
	}}, nil
}

// validate has the host's own Compose look at a project that is to be deployed.
func (h *Host) validate(ctx context.Context, s *here.Stack) ([]finding.Finding, error) {
	err := h.Stacks.Validate(ctx, s.Name, s.Project)
	if !errors.Is(err, stack.ErrRefused) {
		return nil, err
	}
	return []finding.Finding{{
		Code: finding.ComposeRefused, Severity: finding.Fatal, Subject: s.Spec.Name + "/" + s.Name, Text: err.Error(),
		Fix: "change the Compose file to what Compose on " + s.Spec.Name + " knows, or install a newer one there",
	}}, nil
}

// stackChanges returns what starting one stack would change, and what prevents it.
func (h *Host) stackChanges(ctx context.Context, s *here.Stack, seen stack.State) ([]agentapi.Change, []finding.Finding, error) {
	if s.Kept || s.Stopped {
		return stopChanges(s, seen), nil, nil
	}
	var changes []agentapi.Change
	if len(s.Sealed) > 0 {
		// a seal of another epoch belongs to the placement before; the history
		// then counts as unknown, which the plan shows
		s, _ = s.Open()
	}
	local, wish := h.base().Local(s.Name), s.Wish()
	decided, err := keeper.ArchiveOf(s).Decisions(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range s.Protected() {
		if wish != nil && wish.State == agentapi.WishPending && s.Restore.Takes(v.Name) {
			changes = append(changes, restoreChange(s.Stack, v.Name))
		} else if c, shown := volumeChange(s.Stack, v.Name, decided[v.Name], s.Access != nil); shown {
			changes = append(changes, c)
		}
	}
	if cause := secretsCause(h.Paths, s.Stack, local); cause != "" {
		changes = append(changes, agentapi.Change{Stack: s.Name, ID: string(agentapi.ChangeSecrets), Action: "~", Cause: cause})
	}
	d := s.Deployment()
	if wish != nil && wish.State == agentapi.WishDone {
		changes = append(changes, agentapi.Change{Stack: s.Name, ID: "restore", Action: "~", Cause: fmt.Sprintf("done: "+
			"salvor.lock records that it went back to snapshot %.8s", s.Restore.Snapshot)})
	}
	if wish != nil && wish.State == agentapi.WishFailed && startup.ImageChange(seen.Record, d) != "" {
		return append(changes, startChanges(seen)...), nil, nil // an apply leaves it as it is, see the finding
	}
	cause, differs, err := whyStart(ctx, h, s, seen, d)
	if err != nil || len(differs) > 0 {
		return changes, differs, err
	}
	if cause != "" {
		changes = append(changes, agentapi.Change{Stack: s.Name, ID: string(agentapi.ChangeServices), Action: "~", Cause: cause})
	} else if commit := h.base().PendingCommit(s.Name, seen); commit != "" && len(changes) == 0 {
		cause := fmt.Sprintf("commit %.7s, which was deployed last and does not run, is reverted", commit)
		changes = append(changes, agentapi.Change{Stack: s.Name, ID: string(agentapi.ChangeServices), Action: "~", Cause: cause})
	}
	return changes, startup.Occupied(s.Spec.Name, s.Stack, seen, local, decided), nil
}

// stopChanges is the end of a stack that is declared stopped and runs.
func stopChanges(s *here.Stack, seen stack.State) []agentapi.Change {
	if s.Kept || !seen.Running() {
		return nil
	}
	return []agentapi.Change{{Stack: s.Name, ID: string(agentapi.ChangeServices), Action: "-", Cause: "the stack is declared stopped"}}
}

// startChanges is the start of what was deployed last, for a stack that an apply leaves as it
// is: whatever stopped it, it ought to run.
func startChanges(seen stack.State) []agentapi.Change {
	if !seen.Deployed || len(seen.Missing) == 0 {
		return nil
	}
	cause := fmt.Sprintf("not running: %s; started as deployed last, since its data could not be restored", strings.Join(seen.Missing, ", "))
	return []agentapi.Change{{Stack: seen.Stack, ID: string(agentapi.ChangeServices), Action: "~", Cause: cause}}
}

// restoreChange is a volume that goes back to what the operator asked for.
func restoreChange(st agentapi.Stack, volume string) agentapi.Change {
	return agentapi.Change{
		Stack: st.Name, ID: "volume " + volume, Action: "~", Cause: fmt.Sprintf("goes back to snapshot %.8s", st.Restore.Snapshot),
		Destroys: fmt.Sprintf("data written to %s/%s since then", st.Name, project.AsWritten(volume)),
	}
}

func volumeChange(st agentapi.Stack, volume string, d snapshot.Decision, sealed bool) (agentapi.Change, bool) {
	c := agentapi.Change{Stack: st.Name, ID: "volume " + volume, Action: "+", Cause: d.Reason}
	switch {
	case d.Action == snapshot.Ready:
		return c, false
	case d.Action == snapshot.Accept:
		c.Action = "~"
	case d.Action == snapshot.Refuse && !d.Occupied && !sealed && !here.Born(st, volume):
		c.Cause = "new: starts empty"
	case d.Action == snapshot.Refuse && !d.Occupied && !sealed:
		c.Cause = "restored from its newest snapshot"
	}
	return c, true
}

// secretsCause says why what a stack's seal holds is not in force here. A stack
// without secrets of its own has one too, for its remotes and repositories.
func secretsCause(p hostpath.Layout, st agentapi.Stack, local here.Local) string {
	delivers := len(st.Project.Secrets) > 0 || len(st.Project.Env) > 0
	if len(st.Sealed) == 0 || !delivers && local.Epoch != st.Epoch {
		return ""
	}
	if _, err := os.Stat(p.Secrets().Env(st.Name)); err != nil && len(st.Project.Env) > 0 {
		return "not delivered since the boot"
	}
	if local.Sealed != here.SealedDigest(st) {
		return "its sealed file changed"
	}
	return ""
}

func servicesCause(seen stack.State, d stack.Deployment, local here.Local, byHand []string) string {
	switch {
	case !seen.Deployed:
		return "not deployed here yet"
	case local.Epoch != d.Epoch:
		return "deployed here at an earlier placement"
	case len(seen.Missing) > 0:
		return missingCause(seen.Missing, byHand)
	case len(seen.Drifted) > 0:
		return "changed by something other than Salvor: " + strings.Join(seen.Drifted, ", ")
	case !seen.Untouched(d):
		return projectDiffers
	}
	return ""
}

const projectDiffers = "the project differs from what is deployed"

// whyStart says why an apply starts the stack's services, or what it takes over; findings
// say why it can't.
func whyStart(ctx context.Context, h *Host, s *here.Stack, seen stack.State, d stack.Deployment) (string, []finding.Finding, error) {
	cause, err := whyServices(ctx, h, s, seen, d)
	if err != nil {
		return "", nil, err
	}
	adopts, differs, err := startup.Adoptable(ctx, s)
	return cmp.Or(adopts, cause), differs, err
}

// whyServices is servicesCause with what differs where the project does.
func whyServices(ctx context.Context, h *Host, s *here.Stack, seen stack.State, d stack.Deployment) (string, error) {
	cause := servicesCause(seen, d, h.base().Local(s.Name), h.base().ByHand(s.Name).Services())
	if cause == projectDiffers {
		var err error
		if cause, err = projectDifferences(ctx, h.Stacks, d); err != nil {
			return "", err
		}
	}
	if cause != "" && !seen.Untouched(d) {
		cause += gateToo(seen)
	}
	return cause, nil
}

// projectDifferences says in which parts a project differs from what is deployed.
func projectDifferences(ctx context.Context, stacks *stack.Host, d stack.Deployment) (string, error) {
	said, err := stack.Differences(ctx, stacks, d)
	if err != nil || len(said) == 0 {
		return projectDiffers, err
	}
	return strings.Join(said, "; "), nil
}

// stillUngated are the stacks that stay ungated: of others the change of their services says
// that it recreates them.
func stillUngated(host string, state agentapi.HostState) []finding.Finding {
	var all []finding.Finding
	for _, s := range state.Stacks {
		changes := func(c agentapi.Change) bool { return c.Stack == s.Name && c.Kind() == agentapi.ChangeServices }
		if s.Wanted && s.Hash != "" && !slices.ContainsFunc(state.Changes, changes) {
			all = append(all, ungated(host, s)...)
		}
	}
	return all
}

// gateToo says which services that Salvor did not start a deploy recreates for what it adds
// to them, whatever the deploy is for.
func gateToo(seen stack.State) string {
	if len(seen.Ungated) == 0 {
		return ""
	}
	return "; recreated with Salvor's gate and secrets: " + strings.Join(seen.Ungated, ", ")
}

// missingCause names the services that do not run, those apart that someone stopped.
func missingCause(missing, byHand []string) string {
	var failed, stopped []string
	for _, name := range missing {
		if slices.Contains(byHand, name) {
			stopped = append(stopped, name)
		} else {
			failed = append(failed, name)
		}
	}
	var causes []string
	if len(failed) > 0 {
		causes = append(causes, "not running: "+strings.Join(failed, ", "))
	}
	if len(stopped) > 0 {
		causes = append(causes, "stopped by hand: "+strings.Join(stopped, ", "))
	}
	return strings.Join(causes, "; ")
}

// world is what a plan was made from, as far as this host knows: not what was
// decided, which depends on seals and commits that apply itself makes, and not
// stacks that move away, which apply stops on purpose.
type world struct {
	Host   string
	Stacks []agentapi.StackState
	Local  []here.Local
	Marked []snapshot.Marker
	Wishes []here.Wishes
}

func (h *Host) fingerprint(host string, spec agentapi.Host, stacks []agentapi.StackState) (string, error) {
	w := world{Host: host}
	for _, s := range stacks {
		if s.Wanted {
			w.Stacks = append(w.Stacks, s)
		}
	}
	for _, st := range spec.Stacks {
		local := h.base().Local(st.Name)
		w.Local = append(w.Local, local)
		w.Wishes = append(w.Wishes, h.base().Wishes(st.Name))
		for _, v := range h.base().At(spec, st).Protected() {
			w.Marked = append(w.Marked, h.Snapshots.Marker(st.Name, v.Name))
		}
	}
	content, err := json.Marshal(w)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:8]), nil
}
