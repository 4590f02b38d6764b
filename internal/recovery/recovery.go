// Package recovery brings the stacks of a lost host back on another one, with their
// data. The order of its steps is the product: Prepare and run have all of it.
package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"salvor/internal/deploy"
	"salvor/internal/exposed"
	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/ssh"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/proposal"
)

// Options say which host is lost and where its stacks go.
type Options struct {
	Lost string // declared host that is gone
	// To takes over: the name of a declared one, or all of a new one. Without a name each
	// stack goes to the declared host on which it fits.
	To  fleet.Host
	New bool // To is added to the fleet, or is another machine under Lost's name
	// Trust returns the SSH key of the new host, once the operator has said that it is its key.
	Trust func(context.Context, fleet.Host) (ssh.PublicKey, error)
	// AcceptLoss recovers although Lost answers, and gives up newest snapshots that the
	// remote has lost: the newest ones that are there are restored.
	AcceptLoss bool
	// From is the only target that the stacks' data is taken from, "" for the one that has
	// the newest.
	From string
	// Without are stacks that stay placed on Lost, Only those that do not; at most one of
	// the two is given. The routes of Lost itself are among them as fleet.Own(Lost).
	Without, Only []string
	// Compromised means that someone else has Lost's disk: its stacks get repositories
	// with passwords that Lost never had, and are restored from the former ones.
	Compromised bool
}

// Fleet is the newest commit of the fleet, opened, as far as a recovery needs it.
type Fleet interface {
	Fleet() *fleet.Fleet
	Lock() fleet.Lock
	// PinGitHost makes sure that hosts know the Git host's key.
	PinGitHost(ctx context.Context) error
	// Reach returns what connects to a host.
	Reach(h fleet.Host) (func(context.Context) (machine.Machine, error), error)
	// AddHost installs salvord on a machine and returns the files that declare it, under
	// a name that another machine had where it replaces that one.
	AddHost(ctx context.Context, h fleet.Host, key ssh.PublicKey, replaces bool) (Target, error)
	// Enrol makes sure that a declared host has its identity and that Git knows it.
	Enrol(ctx context.Context, h fleet.Host) (Target, error)
	// Rehost returns the Compose files of stacks with another host in them.
	Rehost(stacks []string, host string) (map[string][]byte, error)
	// MoveRoutes adds to files fleet.yaml with the routes of a lost host itself at another one
	// or, where from and to are one name that another machine has now, without the tunnel that
	// the machine before took over. Without either it adds nothing.
	MoveRoutes(from, to string, files map[string][]byte) error
	// Revive has stacks whose files do not load deployed as of the newest commit at
	// which they did, and returns a line for each.
	Revive(ctx context.Context, stacks []string) ([]string, error)
	// LetRead has the Git host let hosts read the repository by these keys, "" for none, once
	// they are committed. It reports whether Salvor does that there.
	LetRead(ctx context.Context, keys map[string]string) (bool, error)
	// Forget takes the deploy key of a host out of files.
	Forget(host string, files map[string][]byte) error
	// NoteStolen adds to files what a host could open, until each has another value.
	NoteStolen(ctx context.Context, host string, files map[string][]byte) error
	// Exposed returns what a host could open and reach.
	Exposed(ctx context.Context, host string) (exposed.Host, error)
	// Session returns the workflow on the commit. Its progress goes to sink.
	Session(ctx context.Context, sink progress.Sink) (*deploy.Session, error)
}

// A recovery is one that was prepared.
type recovery struct {
	Options
	fleet  Fleet
	parts  []part            // one for each host that takes over
	next   fleet.Lock        // the placements after it
	moves  []placement.Move  // none where only routes move, or it was interrupted after its commit
	stacks []string          // that it is about
	routes []fleet.HostRoute // of the lost host itself, that heir serves from now on
	heir   string

	tunnels []string // of which the lost machine may have the token
}

// resumed reports whether it was interrupted after its commit: the rest is done.
func (r *recovery) resumed() bool { return len(r.moves)+len(r.routes) == 0 }

// A part of a recovery is what one host takes over.
type part struct {
	host   fleet.Host
	stacks []string // never nil
	target Target
}

// Prepare makes sure that the host which takes over is declared, enrolled and another than the lost one, and
// that the lost one does not answer. It returns the recovery as a proposal; a host that was enrolled for
// nothing is not part of the fleet and can be enrolled again. Prepared after a recovery that was interrupted,
// the proposal is what is left of it to do.
func Prepare(ctx context.Context, f Fleet, o Options) (proposal.Proposal[deploy.Receipt], error) {
	r := &recovery{Options: o, fleet: f}
	r.parts = []part{{host: o.To, stacks: r.chosen()}}
	p, err := r.prepare(ctx)
	if err != nil {
		return p, err
	}
	notes, err := r.fits(ctx)
	p.Plan = notes + r.own() + p.Plan
	return p, err
}

// Possible refuses a recovery that no host can take over: nothing of the lost one is left to
// recover, it answers, or the operator did not confirm what the commit asks for. It is for
// those who are about to make the host, which takes long and costs money.
func Possible(ctx context.Context, f Fleet, o Options) error {
	r := &recovery{Options: o, fleet: f}
	lost, err := placement.Host(f.Fleet(), o.Lost)
	if err != nil {
		return err
	}
	if err := r.chooses(); err != nil {
		return err
	}
	if len(r.chosen())+len(r.movable()) == 0 {
		return r.nothing()
	}
	if err := f.PinGitHost(ctx); err != nil {
		return err
	}
	gone, err := r.askLost(ctx, lost)
	if err != nil {
		return err
	}
	s, err := f.Session(ctx, progress.Discard())
	if err := errors.Join(gone(), err); err != nil || s.Granted == nil {
		return err
	}
	return s.Granted(ctx, f.Lock())
}

func (r *recovery) prepare(ctx context.Context) (proposal.Proposal[deploy.Receipt], error) {
	p := proposal.New(fmt.Sprintf("recover %s on %s", r.Lost, strings.Join(r.hosts(), ", ")), r.run)
	lost, err := placement.Host(r.fleet.Fleet(), r.Lost)
	if err != nil {
		return p, err
	}
	if err := r.chooses(); err != nil {
		return p, err
	}
	if err := r.fleet.PinGitHost(ctx); err != nil {
		return p, err
	}
	gone, err := r.askLost(ctx, lost) // which takes a dead host long, so the targets are made ready meanwhile
	if err != nil {
		return p, err
	}
	err = r.enrol(ctx)
	if err := errors.Join(gone(), err); err != nil {
		return p, err
	}
	r.place()
	if len(r.stacks)+len(r.routes) == 0 {
		return p, r.nothing()
	}
	p.Plan = r.routed()
	p.Question, p.Name, p.Loses = r.question()
	return p, nil
}

// place counts the placements on, part by part.
func (r *recovery) place() {
	r.next = r.fleet.Lock()
	for _, p := range r.parts {
		var moves []placement.Move
		r.next, moves = placement.Recover(r.next, placement.Takeover{Lost: r.Lost, To: p.host.Name, Stacks: p.stacks, Replaced: p.target.Replaced, Compromised: r.Compromised})
		r.moves = append(r.moves, moves...)
	}
	for _, m := range r.moves {
		r.stacks = append(r.stacks, m.Stack)
	}
	r.placeRoutes()
	for _, p := range r.parts {
		if r.resumed() {
			r.stacks = append(r.stacks, r.next.On(p.host.Name)...) // interrupted after the placement
		}
	}
	slices.Sort(r.stacks)
}

// hosts are the names of those that take over.
func (r *recovery) hosts() []string {
	var names []string
	for _, p := range r.parts {
		names = append(names, p.host.Name)
	}
	return names
}

// replaces reports whether another machine takes over under the lost one's name.
func (r *recovery) replaces() bool { return r.To.Name == r.Lost }

// run carries the recovery out. It may be prepared and run again at any point.
func (r *recovery) run(ctx context.Context, sink progress.Sink) (deploy.Receipt, error) {
	resumed := r.resumed()
	var pending []string

	// the files say where the stacks are, and what the thief could open
	files := map[string][]byte{}
	for _, p := range r.parts {
		maps.Copy(files, p.target.Files)
		if resumed {
			continue
		}
		edited, err := r.fleet.Rehost(p.stacks, p.host.Name)
		if err != nil {
			return deploy.Receipt{}, err
		}
		maps.Copy(files, edited)
	}
	r.tunnels = r.itsTunnels()
	if err := r.moveRoutes(files); err != nil {
		return deploy.Receipt{}, err
	}
	if resumed && r.Compromised {
		pending = append(pending, r.Lost+" was recovered before, so no repository was replaced now: if that was without "+
			"--compromised, salvor key rotate --compromised gives every stack a new one")
	}
	revived, err := r.fleet.Revive(ctx, r.stacks)
	if err != nil {
		return deploy.Receipt{}, err
	}
	pending = append(pending, revived...)
	if r.Compromised && !resumed {
		if err := r.noteStolen(ctx, files); err != nil {
			return deploy.Receipt{}, err
		}
	}

	s, err := r.fleet.Session(ctx, sink)
	if err != nil {
		return deploy.Receipt{}, err
	}
	s.AcceptLoss, s.From = r.AcceptLoss, r.From
	run := s.Begin(s.OnHost(r.hosts()...), r.next, deploy.Options{
		Kind: deploy.KindRecover, Moves: r.moves, Message: r.message(), Extra: files, Lost: r.fenced(), Replaced: r.replaces(), Asked: r.asked(), GitMayBeAway: true, Unplanned: true,
	})
	err = r.restore(ctx, run)
	receipt := run.End()
	read, unread := r.letRead(ctx)
	receipt.Pending = slices.Concat(unread, pending, receipt.Pending, r.behind(run.Lock), r.left(ctx, resumed, read))
	return receipt, err
}

// restore moves the placements and has the host that takes over restore and start the
// stacks: sealed, committed, claimed, the lost host fenced, and only then started.
func (r *recovery) restore(ctx context.Context, run *deploy.Run) error {
	for _, step := range []func(context.Context) error{run.Confirm, run.TakeOver, run.Install} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	meanwhile, stop := context.WithCancel(ctx)
	defer stop()
	ready := run.PrepareForData(meanwhile)
	reached := run.ReachLost(meanwhile)
	if err := run.Seal(ctx); err != nil {
		return err
	}
	if err := run.Place(ctx); err != nil { // committed and claimed
		return err
	}
	run.Fence(ctx, reached())
	ready()
	return run.ApplyHosts(ctx) // data, then the stacks; what they learned is committed
}

// A Target is the host that takes over, ready and not committed yet.
type Target struct {
	Files    map[string][]byte // that declare it; none where Git has it already
	GitKey   string            // what the Git host must accept, read-only
	Replaced bool              // another machine had the name before
}

// enrol makes sure that the hosts taking over have salvord and their identities.
func (r *recovery) enrol(ctx context.Context) (err error) {
	for i := range r.parts {
		if r.parts[i].target, err = r.enrolTarget(ctx, r.parts[i].host); err != nil {
			return r.silent(r.parts[i].host.Name, err)
		}
	}
	return nil
}

// silent gives the error of a host that should take over and does not answer a hint.
func (r *recovery) silent(to string, err error) error {
	if !errors.Is(err, machine.ErrUnreachable) || fault.Hint(err) != "" {
		return err
	}
	return fault.WithHint(err, fmt.Sprintf("start %s, or have another host take over: salvor recover %s --to HOST; salvor host ls lists the hosts", to, r.Lost))
}

// enrolTarget returns the files that say that a host has salvord and its identity.
func (r *recovery) enrolTarget(ctx context.Context, to fleet.Host) (Target, error) {
	h, undeclared := placement.Host(r.fleet.Fleet(), to.Name)
	switch {
	case r.New:
		key, err := r.Trust(ctx, r.To)
		if err != nil {
			return Target{}, err
		}
		return r.fleet.AddHost(ctx, r.To, key, r.To.Name == r.Lost)
	case undeclared != nil:
		return Target{}, fault.WithHint(undeclared, fmt.Sprintf("--to %s=ADDRESS adds it", to.Name))
	case to.Name == r.Lost:
		return Target{}, fault.WithHint(fmt.Errorf("%s is the host that is lost", to.Name), fmt.Sprintf("--to %s=ADDRESS names the machine that replaces it", to.Name))
	}
	return r.fleet.Enrol(ctx, h)
}

// aliveWithin is how long the lost host gets to answer.
const aliveWithin = 5 * time.Second

// ErrAlive means that the host to recover answers: what it wrote since its newest
// snapshots would be lost.
var ErrAlive = errors.New("the host answers")

// askLost begins to ask whether the lost host answers, and returns what waits for the
// outcome: ErrAlive when it does, unless all that is left is to finish a recovery.
func (r *recovery) askLost(ctx context.Context, lost fleet.Host) (wait func() error, err error) {
	if r.AcceptLoss || r.New && r.To.Name == lost.Name && r.To.Address == lost.Address && r.To.Port == lost.Port {
		return func() error { return nil }, nil // what answers there is the machine that replaces it
	}
	reach, err := r.fleet.Reach(lost)
	if err != nil {
		return nil, err
	}
	answered := make(chan bool, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, aliveWithin)
		defer cancel()
		m, err := reach(ctx)
		if err == nil {
			_ = m.Close() // nothing was done there
		}
		answered <- !errors.Is(err, machine.ErrUnreachable) // else it is as the operator says
	}()
	return func() error {
		if !<-answered {
			return nil
		}
		return r.alive(ctx)
	}, nil
}

// alive is the error of a lost host that answers. It is nil where a recovery that was interrupted had
// placed and claimed all its stacks for the new host: what the lost one wrote since is given up already.
func (r *recovery) alive(ctx context.Context) error {
	err := fmt.Errorf("%s: %w", r.Lost, ErrAlive)
	if moves := r.movable(); len(r.chosen()) == 0 && len(moves) > 0 {
		return fault.WithHint(err, fmt.Sprintf("with host: %s in ingress.routes of fleet.yaml, salvor apply has another host serve %s", cmp.Or(r.To.Name, "HOST"), hostnames(moves)))
	}
	if len(r.chosen()) > 0 {
		return fault.WithHint(err, fmt.Sprintf("salvor move STACK --to %s moves the data too; --accept-loss recovers from the newest snapshots anyway", cmp.Or(r.To.Name, "HOST")))
	}
	open, unread := r.unclaimed(ctx)
	if unread != nil {
		return errors.Join(err, unread)
	}
	if len(open) > 0 {
		return fault.WithHint(fmt.Errorf("%w, and %s is not claimed for %s yet", err, open[0], r.fleet.Lock().Stacks[open[0]].Host),
			fmt.Sprintf("salvor apply finishes the recovery with the data that %s has now; --accept-loss finishes it from the newest snapshots", r.Lost))
	}
	return nil
}

// unclaimed returns the stacks that are placed on hosts taking over and not claimed for them.
func (r *recovery) unclaimed(ctx context.Context) ([]string, error) {
	s, err := r.fleet.Session(ctx, progress.Discard())
	if err != nil {
		return nil, err
	}
	all, err := s.Unclaimed(ctx)
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(r.hosts(), s.Lock.Stacks[name].Host) }), err
}
