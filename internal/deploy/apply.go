package deploy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
)

// Options steer one apply.
type Options struct {
	Kind     string // "apply", "move" …, for the receipt and the lock's holder
	Moves    []Move
	Extra    map[string][]byte // files that belong into the placement's commit (fleet.yaml, hosts/…)
	Hosts    []string          // only these; nil for all in the plan
	Lost     bool              // the old hosts are gone: nothing is released, the newest snapshots are what there is
	Message  string            // of the commit, where there is more to say than which stacks move
	NoPrints bool              // hosts apply without comparing fingerprints: nothing was observed there
}

// Apply makes plan true: it has the old hosts of moving stacks let go of them,
// commits and claims the placements of next, lets each host apply its part, and
// folds what the hosts learned into the lock. A step that was done already does
// nothing, so a run cut short is finished by running it again.
//
// The receipt is returned with an error too: it says how far things got.
func (s *Session) Apply(ctx context.Context, plan Plan, next fleet.Lock, o Options) (Receipt, error) {
	r := Receipt{Schema: fleet.Schema, Kind: o.Kind, Fleet: s.Fleet.Name, Began: time.Now().UTC()}
	err := s.apply(ctx, &r, plan, next, o)
	r.Commit, r.Ended = s.Commit, time.Now().UTC()
	return r, err
}

func (s *Session) apply(ctx context.Context, r *Receipt, plan Plan, next fleet.Lock, o Options) error {
	// whoever is behind learns it before anything is stopped
	if err := s.push(ctx, r); err != nil {
		return err
	}
	if err := s.install(ctx, r, plan, o); err != nil {
		return err
	}
	beside, stop := context.WithCancel(ctx)
	defer stop()
	prepared := s.early(beside, r, plan, o)
	if err := s.place(ctx, r, plan, next, o); err != nil {
		return err
	}
	prepared()
	applied := s.phase(r, "apply", func() error { return s.applyHosts(ctx, r, plan, o) })
	folded := s.fold(ctx, r)
	s.mirror(ctx, r)
	return errors.Join(applied, folded)
}

// place commits and claims the placements.
func (s *Session) place(ctx context.Context, r *Receipt, plan Plan, next fleet.Lock, o Options) error {
	// sealed before anything is stopped: it takes seconds, and may ask or fail
	files, next, err := s.seal(ctx, r, next, o)
	if err != nil {
		return err
	}
	if err := s.release(ctx, r, o); err != nil {
		return err
	}
	if err := s.commitLock(ctx, r, files, next, placeMessage(o)); err != nil {
		return err
	}
	return s.claim(ctx, r, plan, o)
}

// mirror copies what was committed to the record remote. A mirror that is late
// is a pending item and no error: nothing that runs depends on it.
func (s *Session) mirror(ctx context.Context, r *Receipt) {
	if s.Fleet.Record.Remote == "" {
		return
	}
	if err := s.phase(r, "mirror", func() error { return s.Record.Mirror(ctx) }); err != nil {
		r.Pending = append(r.Pending, fmt.Sprintf("the repository's mirror on the record remote was not renewed (%v); the next salvor apply does", err))
	}
}

// install puts this version's salvord on the hosts that lack it.
func (s *Session) install(ctx context.Context, r *Receipt, plan Plan, o Options) error {
	if !slices.ContainsFunc(plan.Hosts, func(hp HostPlan) bool { return hp.New }) {
		return nil
	}
	return s.phase(r, "prepare hosts", func() error {
		return s.each(plan, o, func(h fleet.Host, hp HostPlan) error {
			if !hp.New {
				return nil
			}
			link, err := s.Hosts.Dial(ctx, h)
			if err != nil {
				return err
			}
			return link.Install(ctx)
		})
	})
}

// release has the present owners stop what moves away and read the final
// snapshot back. Nothing is claimed before every one of them has.
func (s *Session) release(ctx context.Context, r *Receipt, o Options) error {
	leaving := slices.DeleteFunc(slices.Clone(o.Moves), func(m Move) bool { return m.From == "" || o.Lost })
	if len(leaving) == 0 {
		return nil
	}
	return s.phase(r, "release", func() error {
		var g group
		for _, m := range leaving {
			g.Go(func() error { return s.releaseOne(ctx, m) })
		}
		return g.Wait()
	})
}

func (s *Session) releaseOne(ctx context.Context, m Move) error {
	from, declared := s.Fleet.Host(m.From)
	if !declared {
		return fault.WithHint(fmt.Errorf("%s is placed on %s, which is no longer declared", m.Stack, m.From),
			fmt.Sprintf("declare %s again to move its stacks, or: salvor recover %s --to HOST", m.From, m.From))
	}
	link, err := s.Hosts.Dial(ctx, from)
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s can't move: %w", m.Stack, err), fmt.Sprintf("when %s is lost: salvor recover %s --to HOST", m.From, m.From))
	}
	req := agentapi.Release{Stack: m.Stack, Epoch: m.Epoch - 1, Owner: s.Owner, Message: "move " + m.Stack}
	var receipt agentapi.SnapshotReceipt
	return s.call(ctx, link, agentapi.VerbRelease, req, &receipt)
}

// seal returns the files of the placements' commit, with every seal that next
// needs, and next with the repositories that were made for it.
func (s *Session) seal(ctx context.Context, r *Receipt, next fleet.Lock, o Options) (map[string][]byte, fleet.Lock, error) {
	files := map[string][]byte{}
	maps.Copy(files, o.Extra)
	stale, err := s.Sealer.Stale(next)
	if err != nil {
		return nil, next, err
	}
	for _, m := range o.Moves {
		if m.To != "" {
			stale[m.Stack] = "placed"
		}
	}
	if len(stale) == 0 {
		return files, next, nil
	}
	err = s.phase(r, "seal", func() error {
		var seals map[string][]byte
		seals, next, err = s.Sealer.Seal(ctx, next, slices.Sorted(maps.Keys(stale)), s.Consent)
		maps.Copy(files, seals)
		return err
	})
	return files, next, err
}

func placeMessage(o Options) string {
	switch {
	case o.Message != "":
		return o.Message
	case len(o.Moves) == 0:
		return o.Kind + ": seals"
	}
	message := o.Kind + ": placements\n"
	for _, m := range o.Moves {
		message += fmt.Sprintf("\n%s: %s -> %s, epoch %d", m.Stack, orNone(m.From), orNone(m.To), m.Epoch)
	}
	return message
}

func orNone(host string) string {
	if host == "" {
		return "none"
	}
	return host
}

// commitLock commits files together with the lock, when either changes
// anything, and pushes.
func (s *Session) commitLock(ctx context.Context, r *Receipt, files map[string][]byte, lock fleet.Lock, message string) error {
	changed, err := lockFile(s.Lock, lock)
	if err != nil {
		return err
	}
	maps.Copy(files, changed)
	if len(files) == 0 {
		return nil
	}
	var commit string
	err = s.phase(r, "commit", func() error {
		commit, err = s.Repo.Commit(ctx, files, message)
		return err
	})
	if err == nil {
		err = s.push(ctx, r)
	}
	if err == nil {
		s.Lock, s.Commit = lock, commit
	}
	return err
}

const pushLater = "the Git host does not answer; when it is back: git push"

// push publishes the commit. A recovery goes on while the Git host is away: the
// claims on the record remote fence the old owner, and the push is left to do.
func (s *Session) push(ctx context.Context, r *Receipt) error {
	if slices.Contains(r.Pending, pushLater) {
		return nil
	}
	return s.phase(r, "push", func() error {
		err := s.Repo.Push(ctx)
		if errors.Is(err, controlrepo.ErrGitAway) && r.Kind == "recover" {
			r.Pending = append(r.Pending, pushLater)
			return nil
		}
		return err
	})
}

// claim claims the stacks that moved, and those at work whose claim a run that
// was cut short may owe. What is claimed already stays as it is.
func (s *Session) claim(ctx context.Context, r *Receipt, plan Plan, o Options) error {
	due := s.owed(plan, o)
	if len(due) == 0 {
		return nil
	}
	return s.phase(r, "claim", func() error {
		var g group
		for _, name := range due {
			p := s.Lock.Stacks[name]
			g.Go(func() error { return s.Record.Claim(ctx, name, p.Epoch, p.Host, s.Commit) })
		}
		return g.Wait()
	})
}

// owed returns the placed stacks that a host of the plan is about to change: a
// stack whose claim is missing was not started, so it is among them.
func (s *Session) owed(plan Plan, o Options) []string {
	var names []string
	for name, p := range s.Lock.Stacks {
		moved := slices.ContainsFunc(o.Moves, func(m Move) bool { return m.Stack == name && m.To != "" })
		if moved || slices.ContainsFunc(plan.Hosts, func(hp HostPlan) bool {
			at := hp.Host == p.Host && hp.Unreachable == "" && (o.Hosts == nil || slices.Contains(o.Hosts, hp.Host))
			changes := slices.ContainsFunc(hp.Changes, func(c agentapi.Change) bool { return c.Stack == name })
			return at && (hp.New || o.NoPrints || changes)
		}) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (s *Session) applyHosts(ctx context.Context, r *Receipt, plan Plan, o Options) error {
	var mu sync.Mutex
	return s.each(plan, o, func(h fleet.Host, hp HostPlan) error {
		receipt, err := s.applyHost(ctx, h, hp, o)
		mu.Lock()
		defer mu.Unlock()
		if receipt.Host != "" {
			r.Hosts = append(r.Hosts, receipt)
		}
		return err
	})
}

func (s *Session) applyHost(ctx context.Context, h fleet.Host, hp HostPlan, o Options) (agentapi.HostReceipt, error) {
	var receipt agentapi.HostReceipt
	if !hp.New && len(hp.Changes) == 0 && !o.NoPrints {
		return receipt, nil
	}
	spec, err := s.spec(h, s.Lock, s.Commit)
	if err != nil {
		return receipt, err
	}
	link, err := s.Hosts.Dial(ctx, h)
	if err != nil {
		return receipt, err
	}
	req := agentapi.Apply{Host: spec, Owner: s.Owner, Message: fmt.Sprintf("%s %.7s", o.Kind, s.Commit)}
	if !hp.New && !o.NoPrints {
		req.Fingerprint = hp.Fingerprint
	}
	err = s.call(ctx, link, agentapi.VerbApply, req, &receipt)
	return receipt, err
}

// call runs a verb and names the host in what went wrong.
func (s *Session) call(ctx context.Context, link *hostlink.Link, verb string, req, resp any) error {
	err := link.Call(ctx, verb, req, resp)
	var told *agentapi.Error
	if errors.As(err, &told) {
		return fault.WithCode(fault.WithHint(fmt.Errorf("%s: %w", link.Host, err), told.Hint), told.Code)
	}
	return err
}

// each runs work for every host of the plan that can be reached, at once.
func (s *Session) each(plan Plan, o Options, work func(fleet.Host, HostPlan) error) error {
	var g group
	for _, hp := range plan.Hosts {
		h, declared := s.Fleet.Host(hp.Host)
		if !declared || hp.Unreachable != "" || o.Hosts != nil && !slices.Contains(o.Hosts, hp.Host) {
			continue
		}
		g.Go(func() error { return work(h, hp) })
	}
	return g.Wait()
}

// group runs functions at once and joins all their errors: one host's failure
// does not cut another's work short.
type group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

// Go starts f.
func (g *group) Go(f func() error) {
	g.wg.Go(func() {
		if err := f(); err != nil {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.errs = append(g.errs, err)
		}
	})
}

// Wait returns the errors of all functions, joined.
func (g *group) Wait() error {
	g.wg.Wait()
	return errors.Join(g.errs...)
}
