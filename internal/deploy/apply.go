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
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/hostlink"
	"salvor/internal/placement"
)

// Options steer one apply.
type Options struct {
	Kind     string // "apply", "move" …, for the receipt and the lock's holder
	Moves    []placement.Move
	Extra    map[string][]byte // files that belong into the placement's commit (fleet.yaml, hosts/…)
	Hosts    []string          // only these; nil for all in the plan
	Lost     string            // the host that is gone: it releases nothing, the newest snapshots are what there is
	Replaced bool              // the lost host's name goes on, on another machine
	Message  string            // of the commit, where there is more to say than which stacks move
	Asked    []string          // the stacks that the command is about; nil for all
	NoPrints bool              // hosts apply without comparing fingerprints: nothing was observed there

	// Accept shows the plan of one host, which changed since the first plan was made
	// and has more to do now, and asks; nil refuses it. One host is asked about at a
	// time.
	Accept func(Plan) error
}

// Apply makes plan true: it has the old hosts of moving stacks let go of them,
// commits and claims the placements of next, lets each host apply its part, and
// folds what the hosts learned into the lock. A step that was done already does
// nothing, so a run cut short is finished by running it again.
//
// The receipt is returned with an error too: it says how far things got.
func (s *Session) Apply(ctx context.Context, plan Plan, next fleet.Lock, o Options) (Receipt, error) {
	r := Receipt{Schema: fleet.Schema, Kind: o.Kind, Fleet: s.Fleet.Name, Began: time.Now().UTC(), Asked: o.Asked}
	err := s.apply(ctx, &r, plan, next, o)
	r.Commit, r.Ended, r.Placed = s.Commit, time.Now().UTC(), map[string]string{}
	for name, p := range s.Lock.Stacks {
		r.Placed[name] = p.Host
	}
	return r, err
}

func (s *Session) apply(ctx context.Context, r *Receipt, plan Plan, next fleet.Lock, o Options) error {
	if s.Granted != nil {
		if err := s.Granted(ctx, next); err != nil {
			return err
		}
	}
	if err := s.identify(ctx, plan, o); err != nil {
		return err
	}
	t, err := s.takeover(ctx, r, plan, next, o)
	if err != nil {
		return err
	}
	if err := s.install(ctx, r, plan, o); err != nil {
		return err
	}
	beside, stop := context.WithCancel(ctx)
	defer stop()
	prepared := s.early(beside, r, plan, o)
	reached := s.reachLost(beside, o)
	if err := s.place(ctx, r, t, next, o); err != nil {
		return err
	}
	s.fence(ctx, r, t, o, reached())
	prepared()
	applied := s.phase(ctx, r, "apply", func() error { return s.applyHosts(ctx, r, plan, o) })
	if ctx.Err() != nil {
		return applied // what the hosts learned is folded by the run that goes on
	}
	folded := s.fold(ctx, r, applied)
	s.mirror(ctx, r)
	return errors.Join(applied, folded)
}

// place commits and claims the placements.
func (s *Session) place(ctx context.Context, r *Receipt, t takeover, next fleet.Lock, o Options) error {
	// sealed before anything is stopped: it takes seconds, and may ask or fail
	files, next, err := s.seal(ctx, r, next, o)
	if err != nil {
		return err
	}
	if err := s.release(ctx, r, t.release); err != nil {
		return err
	}
	if t.unpublished {
		err = s.push(ctx, r)
	}
	was, before := s.Lock, s.Commit
	if err == nil {
		err = s.commitLock(ctx, r, files, next, placeMessage(o))
	}
	if err == nil {
		err = s.claim(ctx, r, t.claim)
	}
	if errors.Is(err, ErrOutrun) && slices.Contains(r.Pending, pushLater) {
		s.Lock, s.Commit = was, before
		err = s.withdraw(ctx, r, err)
	}
	return err
}

// mirror copies what was committed to the record remote. A mirror that is late
// is a pending item and no error: nothing that runs depends on it.
func (s *Session) mirror(ctx context.Context, r *Receipt) {
	if s.Fleet.Record.Remote == "" {
		return
	}
	if err := s.phase(ctx, r, "mirror", func() error { return s.Record.Mirror(ctx) }); err != nil {
		r.Pending = append(r.Pending, fmt.Sprintf("the repository's mirror on the record remote was not updated (%v); the next salvor apply tries again", err))
	}
}

// install puts this version's salvord on the hosts that lack it.
func (s *Session) install(ctx context.Context, r *Receipt, plan Plan, o Options) error {
	if !slices.ContainsFunc(plan.Hosts, func(hp HostPlan) bool { return hp.New }) {
		return nil
	}
	return s.phase(ctx, r, "prepare hosts", func() error {
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

// seal returns the files of the placements' commit, with every seal that next
// needs, and next with the repositories that were made for it.
func (s *Session) seal(ctx context.Context, r *Receipt, next fleet.Lock, o Options) (map[string][]byte, fleet.Lock, error) {
	files := map[string][]byte{}
	maps.Copy(files, o.Extra)
	stale, err := s.Sealer.Stale(ctx, next)
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
	err = s.phase(ctx, r, "seal", func() error {
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
	if lock.Record.Remote == "" && len(lock.Stacks) > 0 {
		lock = placement.WithRecord(lock, s.Fleet.Record) // from the first placement on it stays there
	}
	changed, err := lockFile(s.Lock, lock)
	if err != nil {
		return err
	}
	maps.Copy(files, changed)
	if len(files) == 0 && !s.Unsaid {
		return nil
	}
	var commit string
	err = s.phase(ctx, r, "commit", func() error {
		commit, err = s.Repo.Commit(ctx, files, message)
		return err
	})
	if err == nil {
		err = s.push(ctx, r)
	}
	if err == nil {
		s.Lock, s.Commit, s.Unsaid = lock, commit, false
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
	return s.phase(ctx, r, "push", func() error {
		err := s.Repo.Push(ctx)
		if errors.Is(err, git.ErrGitAway) && r.Kind == "recover" {
			r.Pending = append(r.Pending, pushLater)
			return nil
		}
		return err
	})
}

// applyHosts has every host apply its part. Hosts that were interrupted may answer
// with a receipt; the run is not done all the same.
func (s *Session) applyHosts(ctx context.Context, r *Receipt, plan Plan, o Options) error {
	var mu sync.Mutex
	err := s.each(plan, o, func(h fleet.Host, hp HostPlan) error {
		receipt, err := s.applyHost(ctx, h, hp, o)
		mu.Lock()
		defer mu.Unlock()
		if receipt.Host != "" {
			r.Hosts = append(r.Hosts, receipt)
		}
		return err
	})
	return errors.Join(err, ctx.Err())
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
	req := agentapi.Apply{Host: spec, Owner: s.Owner, Message: fmt.Sprintf("%s %.7s", o.Kind, s.Commit), Wait: s.waits(spec.Stacks)}
	if !hp.New && !o.NoPrints {
		return s.applyPlanned(ctx, link, h, hp, o, req)
	}
	err = s.call(ctx, link, agentapi.VerbApply, req, &receipt)
	return receipt, err
}

// call runs a verb and names the host in what went wrong.
func (s *Session) call(ctx context.Context, link *hostlink.Link, verb string, req, resp any) error {
	err := link.Call(ctx, verb, req, resp)
	var told *agentapi.Error
	if errors.As(err, &told) {
		return fault.WithCode(fmt.Errorf("%s: %w", link.Host, err), told.Code)
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
