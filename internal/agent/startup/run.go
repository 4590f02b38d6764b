package startup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"salvor/internal/agent/here"
	"salvor/internal/agent/keeper"
	"salvor/internal/agentapi"
	"salvor/internal/converge"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/hostprep"
	"salvor/internal/machine/observe"
	"salvor/internal/progress"
	"salvor/internal/project"
	"salvor/internal/snapshot"
)

// downloads is how many stacks fetch their data at once: enough to fill a line,
// few enough that the first is done early.
const downloads = 2

// Run is one apply under way.
type Run struct {
	*keeper.Keeper
	Spec agentapi.Host
	sink progress.Sink
	free map[string]time.Time // by stack, when its former host has certainly stopped it

	join *agentapi.Join // lets the host into the tailnet, nil for nothing

	unasked bool // the daemon's own

	Prerequisites
	downloads *semaphore.Weighted
	room      *snapshot.Room
	turns     *turns

	mu      sync.Mutex // guards what follows
	Receipt agentapi.HostReceipt
}

// New returns a run on the stacks of spec. Nothing is done yet.
func New(k *keeper.Keeper, spec agentapi.Host, sink progress.Sink) *Run {
	return &Run{
		Keeper: k, Spec: spec, sink: sink, free: map[string]time.Time{},
		downloads: semaphore.NewWeighted(downloads), room: &snapshot.Room{}, turns: newTurns(),
		Receipt: agentapi.HostReceipt{Schema: agentapi.Schema, Host: spec.Name, Commit: spec.Commit},
	}
}

// FreeIn says how long it takes until the former host of a stack has certainly stopped
// it. Before that it does not start here.
func (r *Run) FreeIn(stack string, wait time.Duration) { r.free[stack] = time.Now().Add(wait) }

// Prepared says that the host is prepared already.
func (r *Run) Prepared() {
	for _, name := range []string{needData, needPackages, needTailnet, needEngine, needMounts, needHost} {
		r.Meet(name, nil)
	}
}

// Apply makes the host and its stacks what they are asked to be. What can overlap
// does: while packages are installed, data comes down; while it does, images are
// pulled. A stack that fails is part of the receipt and keeps no other from starting.
func (r *Run) Apply(ctx context.Context) (agentapi.HostReceipt, error) {
	if err := r.dropOthers(ctx); err != nil {
		return r.Receipt, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	verdicts := r.Guard.Verdicts(ctx, r.Spec)
	var all sync.WaitGroup
	var upgrades error
	all.Go(func() {
		err := r.prepare(ctx)
		r.Meet(needHost, err)
		if err != nil {
			cancel()
			return
		}
		upgrades = r.keepUpgraded(ctx)
	})
	all.Go(func() { r.enterTailnet(ctx) })
	for _, st := range r.Spec.Stacks {
		all.Go(func() { r.ended(r.On(r.At(r.Spec, st)).Deploy(ctx, verdicts[st.Name])) })
	}
	all.Wait()
	if err := here.MountsOf(r.Host, r.Spec).Release(ctx); err != nil {
		r.Trouble("mounts", err) // it is tried again
	}
	slices.SortFunc(r.Receipt.Stacks, func(a, b agentapi.StackReceipt) int {
		return slices.Index(r.order(), a.Name) - slices.Index(r.order(), b.Name)
	})
	return r.Receipt, errors.Join(r.Failure(needHost), upgrades)
}

func (r *Run) order() []string {
	var names []string
	for _, st := range r.Spec.Stacks {
		names = append(names, st.Name)
	}
	return names
}

func (r *Run) add(s agentapi.StackReceipt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Receipt.Stacks = append(r.Receipt.Stacks, s)
}

// ended adds the receipt of a stack that others may wait for.
func (r *Run) ended(s agentapi.StackReceipt) {
	r.add(s)
	var failed error
	if s.Error != nil {
		failed = fmt.Errorf("stack %s %w", s.Name, errUnmet)
	}
	r.Meet(NeedStack(s.Name), failed)
}

// phase times one part of the work.
func (r *Run) phase(name, stack string, work func() error) error {
	began := time.Now().UTC()
	err := work()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Receipt.Phases = append(r.Receipt.Phases, agentapi.Phase{Name: name, Stack: stack, Began: began, Ended: time.Now().UTC()})
	return err
}

// prepare converges the host. Where stacks wait for data, restic comes before everything
// else that takes long, so that data is on its way while Docker is installed; where none
// does, one apt-get installs both.
func (r *Run) prepare(ctx context.Context) error {
	facts, early, err := r.beforeData(ctx)
	if err == nil && len(r.Spec.Stacks) > 0 {
		err = r.forData(ctx, early)
	}
	if err != nil {
		return err
	}
	r.Meet(needData, nil)
	asked := PreparationOf(r.Spec)
	asked.Manage = slices.DeleteFunc(slices.Clone(asked.Manage.Listed()), isUpdates)
	all, err := hostprep.Resources(facts, asked)
	if err != nil {
		return err
	}
	if err := r.converge(ctx, "prepare the host", all); err != nil {
		return err
	}
	r.Meet(needPackages, nil)
	if _, err := r.Mount(string(r.Paths.Secrets())); err != nil {
		return err
	}
	if err := here.MountsOf(r.Host, r.Spec).Make(ctx); err != nil {
		r.Trouble("mounts", err) // it is tried again, and the mount is a finding
	}
	r.Meet(needMounts, nil)
	if lacks, err := r.Lacks(ctx, r.Spec); err != nil || lacks != "" {
		r.Meet(needEngine, noEngine(r.Spec.Name, lacks))
		return err
	}
	r.FreePorts(ctx, r.Spec)
	if err := r.Stacks.EnsureNetworks(ctx, r.Spec.Networks); err != nil {
		return err
	}
	r.Meet(needEngine, nil)
	return nil
}

// keepUpgraded has security upgrades install themselves, where that is Salvor's. Stacks start meanwhile, and do so where
// it fails.
func (r *Run) keepUpgraded(ctx context.Context) error {
	if !slices.ContainsFunc(r.Spec.Manage.Listed(), isUpdates) {
		return nil
	}
	facts, err := hostprep.Look(ctx, r.Machine)
	if err != nil {
		return err
	}
	all, err := hostprep.Resources(facts, PreparationOf(r.Spec))
	if err != nil {
		return err
	}
	return r.converge(ctx, "security upgrades", all)
}

func isUpdates(a fleet.Area) bool { return a == fleet.AreaUpdates }

// noEngine is the error of stacks on a host that lacks what they need.
func noEngine(host, lacks string) error {
	return fault.WithHint(fmt.Errorf("%s, and Docker on %s is not Salvor's", lacks, host), fmt.Sprintf("salvor host take %s %s, then salvor apply", host, fleet.AreaDocker))
}

func (r *Run) converge(ctx context.Context, name string, resources []converge.Resource) error {
	return r.phase(name, "", func() error {
		plan, err := converge.NewPlan(ctx, r.Machine, resources)
		if err != nil || plan.Empty() {
			return err
		}
		outcomes, err := plan.Apply(ctx, progress.Scope{Sink: r.sink})
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, o := range outcomes {
			if o.State == progress.Done {
				r.Receipt.Changed = append(r.Receipt.Changed, agentapi.Change{ID: o.Change.ID, Action: string(o.Change.Action), Cause: o.Change.Cause})
			}
		}
		return err
	})
}

// dropOthers stops stacks that are no longer placed here. Their data stays.
func (r *Run) dropOthers(ctx context.Context) error {
	known, err := r.Known()
	if err != nil {
		return err
	}
	for _, name := range known {
		if slices.Contains(r.order(), name) {
			continue
		}
		if err := r.Guard.Fence(ctx, name, "no longer placed here"); err != nil {
			return err
		}
		r.add(agentapi.StackReceipt{Name: name, Outcome: "stopped"})
	}
	return nil
}

// noteStarted notes that a stack starts here at its epoch. It starts in any case: a full
// disk must not keep it down.
func (s *Start) noteStarted() {
	before, now := s.Host.Local(s.Name), here.Local{Epoch: s.Epoch, Sealed: here.SealedDigest(s.Stack.Stack)}
	if before.Epoch == s.Epoch {
		now.Reported, now.Images, now.Wish = before.Reported, before.Images, before.Wish
	}
	err := s.Host.SaveLocal(s.Name, now)
	if err == nil {
		return
	}
	s.Run.Warn(s.Name, finding.Finding{
		Code: finding.DiskFull, Severity: finding.Warning, Subject: s.Run.Spec.Name + "/" + s.Name,
		Text: "the host could not write down what runs here: " + err.Error(), Fix: "make room on " + s.Run.Spec.Name + ", then salvor apply",
	})
}

// beforeData returns the host's facts, and what has it ready to restore data. It notes what Salvor is going to install.
func (r *Run) beforeData(ctx context.Context) (facts hostprep.Facts, early []converge.Resource, err error) {
	if facts, err = hostprep.Look(ctx, r.Machine); err != nil {
		return facts, nil, err
	}
	if early, err = hostprep.ForRestore(facts); err != nil {
		return facts, nil, err
	}
	return facts, early, NotePackages(ctx, r.Host, r.Spec)
}

// forData has the host ready to restore data.
func (r *Run) forData(ctx context.Context, early []converge.Resource) error {
	return r.converge(ctx, "prepare to restore", early)
}

// NotePackages notes which packages the host lacks that Salvor's own work needs: it is Salvor
// that installs them.
func NotePackages(ctx context.Context, h *here.Host, spec agentapi.Host) error {
	installed, err := observe.New(h.Machine).Packages(ctx)
	if err != nil {
		return err
	}
	for _, name := range hostprep.OwnPackages() {
		if installed[name].Installed() || name == hostprep.SQLite && !hasSQLite(spec) {
			continue
		}
		if err := here.NoteBrought(h, name); err != nil {
			h.Trouble("packages", err) // a full disk keeps nothing from starting
		}
	}
	return nil
}

// PrepareData installs what data is restored with, and returns what changed.
func (r *Run) PrepareData(ctx context.Context) ([]agentapi.Change, error) {
	_, early, err := r.beforeData(ctx)
	if err == nil {
		err = r.forData(ctx, early)
	}
	return r.Receipt.Changed, err
}

// PreparationOf is what the host itself is asked to be.
func PreparationOf(spec agentapi.Host) hostprep.Spec {
	return hostprep.Spec{Manage: spec.Manage, Docker: spec.Docker, SSH: hostprep.SSH(spec.SSH), Signers: here.SignersFile(spec.Fleet, spec.Signers), Mounts: spec.Mounts, SQLite: hasSQLite(spec)}
}

// hasSQLite reports whether snapshots of the host copy databases of SQLite.
func hasSQLite(spec agentapi.Host) bool {
	return slices.ContainsFunc(spec.Stacks, func(st agentapi.Stack) bool {
		return slices.ContainsFunc(st.Volumes, func(v project.Volume) bool { return v.Protect == fleet.Snapshot && v.Method == fleet.SQLite })
	})
}

// A Start is one stack that a run brings up.
type Start struct {
	Run *Run
	*here.Stack
}

// On returns the start of a stack in this run.
func (r *Run) On(s *here.Stack) *Start { return &Start{Run: r, Stack: s} }
