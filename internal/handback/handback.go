// Package handback gives a host back to its user: its stacks run on without Salvor.
package handback

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"salvor/internal/agentapi"
	"salvor/internal/deploy"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/hostlink"
	"salvor/internal/machine"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Fleet is the newest commit of the fleet, opened, as far as this needs it.
type Fleet interface {
	Fleet() *fleet.Fleet
	Lock() fleet.Lock
	// Broken returns why a stack's files do not load, nil when they do.
	Broken(stack string) error
	// Unplaced returns the files that change when stacks leave a host: their Compose files,
	// without that host, and their seals for it.
	Unplaced(stacks []string, host string) (map[string][]byte, error)
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
	// RemoveHost takes a host out of the fleet, on the commit that is the newest by then.
	RemoveHost(ctx context.Context, host string) (exposed.Host, error)
	// RemovalWaits reports whether the newest commit did that, and is not pushed.
	RemovalWaits(ctx context.Context, host string) (bool, error)
}

// Options say what is given back.
type Options struct {
	Host       string
	Stacks     []string // none for all, and the host itself
	NoSnapshot bool     // no last snapshot is taken
}

// A Receipt is what was given back.
type Receipt struct {
	Host     string                `json:"host"`
	Stacks   []agentapi.PlainStack `json:"stacks"`
	Removed  []string              `json:"removed,omitempty"`   // from the host, where it has no stack any more
	LeftHost bool                  `json:"left_host,omitempty"` // the host left the fleet
	Commit   string                `json:"commit,omitempty"`    // that ended the placements
	Pending  []string              `json:"pending,omitempty"`   // what a human must still do
	Exposed  exposed.Host          `json:"-"`                   // what the host's disk can open
}

// Prepare proposes to give back a host, or some of its stacks. The host says what it would
// do; nothing is written.
func Prepare(ctx context.Context, f Fleet, o Options) (proposal.Proposal[Receipt], error) {
	w := &work{fleet: f, Options: o, epochs: map[string]int{}}
	p := proposal.New("release "+o.Host, w.run)
	if err := w.look(ctx); err != nil {
		return p, err
	}
	p.Plan, p.Name = w.plan(), o.Host
	p.Question = w.question()
	return p, nil
}

// look finds out what there is to do.
func (w *work) look(ctx context.Context) error {
	if _, err := placement.Host(w.fleet.Fleet(), w.Host); err != nil {
		waits, notKnown := w.fleet.RemovalWaits(ctx, w.Host)
		if w.removed = waits && w.whole(); w.removed {
			return nil
		}
		return errors.Join(err, notKnown)
	}
	s, err := w.fleet.Session(ctx, progress.Discard())
	if err == nil {
		err = w.choose(ctx, s)
	}
	if err == nil {
		err = w.ask(ctx, s)
	}
	return err
}

// work is one host, or some of its stacks, that is given back.
type work struct {
	Options
	fleet  Fleet
	stacks []string // that are placed there
	ending []string // that are placed nowhere, and the host still has by the claims: this was interrupted
	epochs map[string]int
	plain  []agentapi.PlainStack
	gone   bool // the host has no salvord any more

	removed bool // the host left the fleet, by a commit that is not pushed yet
}

// whole reports whether the host itself is given back.
func (w *work) whole() bool { return len(w.Stacks) == 0 }

// choose finds the stacks that are given back, each with the epoch at which that holds.
func (w *work) choose(ctx context.Context, s *deploy.Session) error {
	lock := w.fleet.Lock()
	left, err := w.unclaimed(ctx, s)
	if err != nil {
		return err
	}
	asked := w.Stacks
	if w.whole() {
		if routes := w.fleet.Fleet().Ingress.At(w.Host); len(routes) > 0 {
			return fault.WithHint(fmt.Errorf("%s still has routes of its own: %s", w.Host, routes[0].Hostname), "name another host in ingress.routes of fleet.yaml, or take them out, then salvor apply")
		}
		asked = slices.Concat(lock.On(w.Host), slices.Sorted(maps.Keys(left)))
	}
	for _, name := range asked {
		at, placed := lock.Placement(name)
		epoch, ending := left[name]
		switch {
		case placed && at.Host == w.Host:
			w.stacks, w.epochs[name] = append(w.stacks, name), at.Epoch+1
		case ending:
			w.ending, w.epochs[name] = append(w.ending, name), epoch+1
		case placed:
			return fault.WithHint(fmt.Errorf("stack %s is on %s, not on %s", name, at.Host, w.Host), "salvor host release "+at.Host+" "+name)
		default:
			return fault.WithHint(fmt.Errorf("stack %s is not on %s", name, w.Host), "salvor host ls")
		}
		if err := w.fleet.Broken(name); err != nil {
			return err
		}
	}
	return w.needed(lock.On(w.Host))
}

// unclaimed returns the stacks that are placed nowhere, and that the host still has by the
// claims, with the epoch of these.
func (w *work) unclaimed(ctx context.Context, s *deploy.Session) (map[string]int, error) {
	var names []string
	for _, st := range w.fleet.Fleet().Stacks {
		if _, placed := s.Lock.Placement(st.Name); !placed && st.Host == "" {
			names = append(names, st.Name)
		}
	}
	if len(names) == 0 || s.Fleet.Record.Remote == "" {
		return nil, nil
	}
	owners, err := s.Record.Owners(ctx, names)
	left := map[string]int{}
	for name, o := range owners {
		if o.Host == w.Host && slices.Contains(names, name) {
			left[name] = o.Epoch
		}
	}
	return left, err
}

// needed refuses to give back what a stack that stays on the host needs.
func (w *work) needed(on []string) error {
	for _, name := range on {
		st, _ := w.fleet.Fleet().Stack(name)
		for _, need := range st.Needs {
			if slices.Contains(w.stacks, need) && !slices.Contains(w.stacks, name) {
				return fault.WithHint(fmt.Errorf("stack %s needs %s, and stays", name, need), strings.Join([]string{"salvor host release", w.Host, need, name}, " "))
			}
		}
	}
	return nil
}

func (w *work) request(s *deploy.Session) agentapi.HandBack {
	req := agentapi.HandBack{Owner: s.Owner, Message: "host release " + w.Host}
	for _, name := range w.stacks {
		r, one := s.Stacks[name], agentapi.HandBackStack{Name: name, Epoch: w.epochs[name] - 1, Hash: s.Stacks[name].Project.Hash}
		if st, _ := s.Fleet.Stack(name); st.ProjectDir != "" {
			one.Adopt = r.Adoption
		}
		req.Stacks = append(req.Stacks, one)
	}
	return req
}

// ask asks the host what it would do.
func (w *work) ask(ctx context.Context, s *deploy.Session) error {
	var answer agentapi.HandedBack
	err := s.Call(ctx, w.Host, agentapi.VerbHandBackPlan, w.request(s), &answer)
	older := (*hostlink.ProtocolError)(nil)
	if errors.Is(err, hostlink.ErrNoSalvord) && !errors.As(err, &older) && len(w.stacks) == 0 {
		w.gone = true
		return nil
	}
	if err != nil {
		return w.unreached(err)
	}
	w.plain = answer.Stacks
	if len(w.plain) != len(w.stacks) {
		return fmt.Errorf("%s does not say of every stack how it would be given back", w.Host)
	}
	return nil
}

// unreached adds the ways out of a host that does not answer.
func (w *work) unreached(err error) error {
	if !errors.Is(err, machine.ErrUnreachable) {
		return err
	}
	if len(w.stacks) > 0 {
		return fault.WithHint(err, fmt.Sprintf("a host is asked before it is given back; if %s is lost: salvor recover %s --to HOST", w.Host, w.Host))
	}
	return fault.WithHint(err, fmt.Sprintf("if %s is lost, or was given back already: salvor host remove %s", w.Host, w.Host))
}

func (w *work) run(ctx context.Context, sink progress.Sink) (Receipt, error) {
	r := Receipt{Host: w.Host, Stacks: []agentapi.PlainStack{}}
	s, err := w.fleet.Session(ctx, sink)
	if err != nil {
		return r, err
	}
	if err := s.Repo.Push(ctx); err != nil { // a clone that is behind shows here, before anything changes
		return r, err
	}
	if w.removed {
		r.LeftHost = true
		return r, nil
	}
	if err := w.snapshots(ctx, s); err != nil {
		return r, err
	}
	if len(w.stacks) > 0 {
		var answer agentapi.HandedBack
		if err := s.Call(ctx, w.Host, agentapi.VerbHandBack, w.request(s), &answer); err != nil {
			return r, fault.WithHint(err, cmpHint(err, "run the same command again to continue"))
		}
		r.Stacks = answer.Stacks
	}
	if err := w.end(ctx, s, &r); err != nil {
		return r, err
	}
	if !w.whole() {
		return r, nil
	}
	return r, w.leave(ctx, s, &r)
}

// cmpHint is the hint that an error has, else another one.
func cmpHint(err error, other string) string {
	if hint := fault.Hint(err); hint != "" {
		return hint
	}
	return other
}

// snapshots takes a last one of each stack.
func (w *work) snapshots(ctx context.Context, s *deploy.Session) error {
	for _, plain := range w.plain {
		if w.NoSnapshot || plain.Gone {
			continue
		}
		var receipt agentapi.SnapshotReceipt
		if err := s.Call(ctx, w.Host, agentapi.VerbSnapshot, agentapi.TakeSnapshot{Stack: plain.Name}, &receipt); err != nil {
			return fault.WithHint(fmt.Errorf("no last snapshot of %s: %w", plain.Name, err), "nothing was changed; --no-snapshot goes on without one")
		}
	}
	return nil
}

// end ends the placements.
func (w *work) end(ctx context.Context, s *deploy.Session, r *Receipt) error {
	names := slices.Concat(w.stacks, w.ending)
	if len(names) == 0 {
		return nil
	}
	files, err := w.fleet.Unplaced(names, w.Host)
	if err != nil {
		return err
	}
	message := fmt.Sprintf("host release: %s of %s", strings.Join(names, ", "), w.Host)
	done, err := deploy.End(ctx, s, w.epochs, files, deploy.Options{Kind: deploy.KindRelease, Message: message, Asked: names})
	r.Commit, r.Pending = done.Commit, done.Pending
	return err
}

// leave removes Salvor from the host, and the host from the fleet.
func (w *work) leave(ctx context.Context, s *deploy.Session, r *Receipt) error {
	if !w.gone {
		var left agentapi.Left
		if err := s.Call(ctx, w.Host, agentapi.VerbLeave, agentapi.Leave{Owner: s.Owner, Message: "host release " + w.Host}, &left); err != nil {
			return fault.WithHint(err, cmpHint(err, "run the same command again to continue"))
		}
		r.Removed = left.Removed
	}
	var err error
	r.Exposed, err = w.fleet.RemoveHost(ctx, w.Host)
	r.LeftHost = err == nil
	return err
}
