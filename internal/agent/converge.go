package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"salvor/internal/agent/here"
	"salvor/internal/agent/startup"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/journal"
	"salvor/internal/progress"
	"salvor/internal/version"
)

// ConvergeOptions narrow a Converge.
type ConvergeOptions struct {
	Only  []fleet.Area // the areas that are looked at, none for all; what is Salvor's own always is
	Check bool         // nothing is written
}

// Converge prepares the host with the resources of an apply, and leaves its stacks alone. It
// may be called again at any time: a host that is right is not written to. The answer says
// how far it came also where there is an error.
func Converge(ctx context.Context, h *Host, req agentapi.Converge, o ConvergeOptions, sink progress.Sink) (agentapi.Converged, error) {
	answer := agentapi.Converged{Schema: agentapi.Schema, Salvord: version.String(), Check: o.Check, Resources: []agentapi.Converging{}}
	c, err := newPreparing(ctx, h, req, o)
	if err != nil {
		return answer, err
	}
	answer.Left, answer.Changed = c.left, len(c.changes) > 0
	outcomes := map[string]converge.Outcome{}
	if answer.Changed && !o.Check {
		outcomes, err = c.carryOut(ctx, req.Owner, sink)
	}
	answer.Resources = c.states(o.Check, outcomes, err)
	return answer, err
}

// A preparing is the preparation of a host without its stacks.
type preparing struct {
	host    *Host
	spec    agentapi.Host // what the host is asked to be from now on
	ids     []string      // of all its resources
	changes []agentapi.Change
	plan    *converge.Plan
	left    []agentapi.LeftArea
}

// newPreparing looks at the host and plans.
func newPreparing(ctx context.Context, h *Host, req agentapi.Converge, o ConvergeOptions) (*preparing, error) {
	if err := errors.Join(req.Host.Signers.Check(), checkAreas(req.Host, o.Only)); err != nil {
		return nil, err
	}
	applied, err := h.Spec()
	if err != nil {
		return nil, fault.WithHint(err, "salvor apply writes it again")
	}
	facts, err := hostprep.Look(ctx, h.Machine)
	if err != nil {
		return nil, err
	}
	c := &preparing{host: h, spec: withoutStacks(applied, req.Host)}
	asked, now := areas(applied, req.Host, o.Only)
	c.spec.Manage = now
	c.left = leftAreas(req.Host, o.Only)
	prepared := startup.PreparationOf(c.spec)
	prepared.Manage, prepared.SQLite = asked, prepared.SQLite || req.SQLite
	resources, err := hostprep.Resources(facts, prepared)
	if err != nil {
		return nil, err
	}
	for _, r := range resources {
		c.ids = append(c.ids, r.ID())
	}
	if c.plan, err = converge.NewPlan(ctx, h.Machine, resources); err != nil {
		return nil, err
	}
	own, err := planned(ctx, h.Machine, c.plan)
	c.changes = append(areaChanges(applied, c.spec, facts), own...)
	c.changes = append(c.changes, settingsChanges(applied, c.spec, c.changes)...)
	return c, err
}

// withoutStacks returns want with what only an apply changes as the host has it: stacks, what
// it has of its own, and how it is reached.
func withoutStacks(applied, want agentapi.Host) agentapi.Host {
	want.Schema, want.Stacks, want.Own = agentapi.Schema, applied.Stacks, applied.Own
	want.Ingress, want.Projects = applied.Ingress, applied.Projects // what is published is the stacks' own
	want.Outside, want.Tailnet = applied.Outside, applied.Tailnet   // of areas that are left to an apply
	if applied.Schema != 0 {
		want.Commit = applied.Commit // the one that its stacks are of
	}
	return want
}

// onlyByApply says why an area is left to an apply, "" for one that is not.
func onlyByApply(area fleet.Area) string {
	switch area {
	case fleet.AreaSSH, fleet.AreaFirewall:
		return "it can lock you out, so salvor apply changes it, under a timer that takes the change back"
	case fleet.AreaTailnet:
		return "joining needs a key, which salvor apply brings"
	}
	return ""
}

// checkAreas refuses areas that Salvor does not take care of on the host.
func checkAreas(host agentapi.Host, only []fleet.Area) error {
	for _, area := range only {
		var err error
		switch {
		case onlyByApply(area) != "":
			err = fmt.Errorf("converge does not take care of the area %s: %s", area, onlyByApply(area))
		case !fleet.KnownAreas().Has(area):
			err = fmt.Errorf("%q is not an area, want one of %s", area, fleet.KnownAreas())
		case !host.Manage.Has(area):
			err = fault.WithHint(fmt.Errorf("salvor does not take care of the area %s on %s", area, host.Name), fmt.Sprintf("salvor host take %s %s", host.Name, area))
		}
		if err != nil {
			return fault.WithCode(err, fault.Usage)
		}
	}
	return nil
}

// areas returns those that are looked at, and those that are Salvor's on the host from now on.
func areas(applied, want agentapi.Host, only []fleet.Area) (asked, now fleet.Areas) {
	had := fleet.Areas{}
	if applied.Schema != 0 {
		had = applied.Manage.Listed()
	}
	asked, now = fleet.Areas{}, fleet.Areas{}
	for _, area := range want.Manage.Listed() {
		looked := onlyByApply(area) == "" && (len(only) == 0 || slices.Contains(only, area))
		if looked {
			asked = append(asked, area)
		}
		if looked || had.Has(area) {
			now = append(now, area)
		}
	}
	return asked, now
}

// leftAreas are the areas that only an apply takes care of.
func leftAreas(want agentapi.Host, only []fleet.Area) []agentapi.LeftArea {
	var left []agentapi.LeftArea
	for _, area := range want.Manage.Listed() {
		if why := onlyByApply(area); why != "" && len(only) == 0 {
			left = append(left, agentapi.LeftArea{Area: string(area), Why: why})
		}
	}
	return left
}

// carryOut makes the host right, and notes what it is asked to be.
func (c *preparing) carryOut(ctx context.Context, owner string, sink progress.Sink) (map[string]converge.Outcome, error) {
	base := c.host.base()
	lock, err := base.Lock(ctx, owner, "converge", sink)
	if err != nil {
		return nil, err
	}
	defer lock.Release()
	if err := errors.Join(startup.NotePackages(ctx, base, c.spec), c.host.accept(c.spec)); err != nil {
		return nil, err
	}
	did, err := c.plan.Apply(ctx, progress.Scope{Sink: sink})
	outcomes := map[string]converge.Outcome{}
	for _, o := range did {
		outcomes[o.Change.ID] = o
	}
	if err == nil {
		err = c.settle(ctx)
	}
	base.Enter(journal.Entry{Kind: "converge", Commit: c.spec.Commit, Owner: owner, Error: here.ErrorText(err)})
	return outcomes, err
}

// settle makes what is not a resource: the memory for secrets, mounts, and networks.
func (c *preparing) settle(ctx context.Context) error {
	base := c.host.base()
	if _, err := base.Mount(string(base.Paths.Secrets())); err != nil {
		return err
	}
	if err := here.MountsOf(base, c.spec).Make(ctx); err != nil {
		base.Trouble("mounts", err) // salvord tries it again
	}
	if len(c.spec.Networks) == 0 {
		return nil
	}
	if lacks, err := base.Lacks(ctx, c.spec); err != nil || lacks != "" {
		return err // nothing can join them then
	}
	return base.Stacks.EnsureNetworks(ctx, c.spec.Networks)
}

// states are what became of the changes, and then the resources that were right.
func (c *preparing) states(check bool, outcomes map[string]converge.Outcome, failed error) []agentapi.Converging {
	all := []agentapi.Converging{}
	for _, change := range c.changes {
		r := agentapi.Converging{ID: change.ID, Action: change.Action, Cause: change.Cause, Destroys: change.Destroys}
		o, tried := outcomes[change.ID]
		switch {
		case check:
			r.State = agentapi.ConvergingPending
		case tried && o.State == progress.Failed:
			r.State, r.Text = agentapi.ConvergingFailed, o.Err.Error()
		case tried && o.State == progress.Skipped:
			r.State, r.Text = agentapi.ConvergingSkipped, o.Text
		case tried, failed == nil, len(outcomes) > 0:
			r.State = agentapi.ConvergingDone
		default:
			r.State = agentapi.ConvergingSkipped // nothing was begun
		}
		all = append(all, r)
	}
	for _, id := range c.ids {
		if !slices.ContainsFunc(c.changes, func(change agentapi.Change) bool { return change.ID == id }) {
			all = append(all, agentapi.Converging{ID: id, State: agentapi.ConvergingRight})
		}
	}
	return all
}
