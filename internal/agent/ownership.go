package agent

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/agentapi"
	"salvor/internal/record"
	"salvor/internal/secret/agekey"
)

// An ownership finds out whether this host still owns its stacks. It keeps the
// record remote open and remembers what Git said, so that one look after another
// is cheap. One look runs at a time; close it when done.
type ownership struct {
	h      *Host
	within time.Duration // what a look may take

	mu     sync.Mutex // held for the length of a look
	rec    *sight     // nil: to be opened
	opened string     // what rec was opened with
	git    gitSight
	asked  time.Time // when Git was asked last
	claims map[string]claimSight
	looked time.Time // when the look that saw claims began
}

// askWithin bounds a look that something waits for: a host that installs packages
// and brings data back is slow to reach out. The watch keeps to the lease.
const askWithin = 20 * time.Second

func (h *Host) ownership(within time.Duration) *ownership {
	return &ownership{h: h, within: within, git: unreached()}
}

func (o *ownership) close(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(ctx)
}

// drop gives up a remote that may hang, without waiting for it.
func (o *ownership) drop(ctx context.Context) {
	if o.rec != nil {
		go o.rec.close(ctx) //nolint:errcheck // nothing was written
	}
	o.rec = nil
}

// verdicts looks once, for each stack of spec. What does not answer in time is part
// of the verdict, not an error.
func (o *ownership) verdicts(ctx context.Context, spec agentapi.Host) (map[string]record.Verdict, error) {
	return o.since(ctx, spec, time.Now())
}

// recently is how old a look may be that others rely on, too: stacks that start at
// once, objects that are deleted one after another.
const recently = 2 * time.Second

// verdict returns what holds for one stack of spec, by a look not older than recently.
func (o *ownership) verdict(ctx context.Context, spec agentapi.Host, st agentapi.Stack) (record.Verdict, error) {
	all, err := o.since(ctx, spec, time.Now().Add(-recently))
	return all[st.Name], err
}

// mayChange returns an error when this host may not change what lies outside it for
// a stack.
func (o *ownership) mayChange(ctx context.Context, spec agentapi.Host, st agentapi.Stack) error {
	spec.Stacks = []agentapi.Stack{st}
	v, err := o.verdict(ctx, spec, st)
	if err == nil && !v.MayChange {
		err = fmt.Errorf("%s has no right to change the snapshots of %s: %s", spec.Name, st.Name, v.Reason)
	}
	return err
}

// notLost returns why a stack is known to be another host's. Silence is not a
// reason: the caller had the right to change when it began.
func (o *ownership) notLost(ctx context.Context, spec agentapi.Host, st agentapi.Stack) error {
	spec.Stacks = []agentapi.Stack{st}
	v, err := o.verdict(ctx, spec, st)
	if err == nil && v.State == record.Lost {
		err = fmt.Errorf("%s has no right to change the snapshots of %s: %s", spec.Name, st.Name, v.Reason)
	}
	return err
}

// since judges by a look that began after a time.
func (o *ownership) since(ctx context.Context, spec agentapi.Host, earliest time.Time) (map[string]record.Verdict, error) {
	all := map[string]record.Verdict{}
	if len(spec.Stacks) == 0 {
		return all, nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.looked.Before(earliest) {
		ctx, cancel := context.WithTimeout(ctx, o.within)
		defer cancel()
		o.looked = time.Now()
		o.claims = o.look(ctx, spec)
	}
	key := o.h.key()
	for _, st := range spec.Stacks {
		local := o.h.local(st.Name)
		here := record.Local{Host: spec.Name, Key: key, Epoch: local.Epoch, Lost: local.Lost}
		v := record.Decide(here, o.git.placement(st.Name), o.claims[st.Name].ruling(o.git.contains))
		v.Ignored = o.claims[st.Name].ignored
		all[st.Name] = v
	}
	return all, nil
}

// patience is how long the record remote gets to answer before Git is asked too.
const patience = 2 * time.Second

// look asks the record remote, and Git where that is due, or the record remote does
// not answer soon. It returns the claims.
func (o *ownership) look(ctx context.Context, spec agentapi.Host) (claims map[string]claimSight) {
	due := o.asked.IsZero() || time.Since(o.asked) >= o.h.Lease.Git
	answered, failed := make(chan struct{}), make(chan struct{})
	var both sync.WaitGroup
	both.Go(func() {
		var all bool
		if claims, all = o.askRecord(ctx, spec); all {
			close(answered)
		} else {
			close(failed)
		}
	})
	if !due {
		select {
		case <-answered:
			both.Wait()
			return claims
		case <-failed:
		case <-time.After(patience):
		}
	}
	o.git, o.asked = o.h.askGit(ctx, spec.Git), time.Now()
	both.Wait()
	return claims
}

// verdicts looks once.
func (h *Host) verdicts(ctx context.Context, spec agentapi.Host) (map[string]record.Verdict, error) {
	who := h.ownership(askWithin)
	defer who.close(ctx)
	return who.verdicts(ctx, spec)
}

// key returns the recipient of the host's identity, "" where it can't be read.
func (h *Host) key() string {
	key, err := agekey.OpenHost(h.Paths.identity())
	if err != nil {
		return ""
	}
	return key.Recipient
}

// claimSight is what the record said of one stack.
type claimSight struct {
	reached bool
	claims  []record.Claim
	ignored []record.Ignored
}

func (c claimSight) ruling(onBranch record.OnBranch) record.OnRecord {
	if !c.reached {
		return record.OnRecord{}
	}
	return record.OnRecord{Reached: true, Ruling: record.Rule(c.claims, onBranch)}
}

// listedAtOnce is how many stacks' claims are listed at a time.
const listedAtOnce = 4

// askRecord reads the claims of every stack and reports whether all of them could
// be read.
func (o *ownership) askRecord(ctx context.Context, spec agentapi.Host) (map[string]claimSight, bool) {
	rec, err := o.record(ctx, spec)
	if err != nil {
		return nil, false
	}
	seen := make([]claimSight, len(spec.Stacks))
	var all errgroup.Group
	all.SetLimit(listedAtOnce)
	for i, st := range spec.Stacks {
		all.Go(func() error {
			claims, ignored, err := rec.Claims(ctx, st.Name)
			seen[i] = claimSight{reached: err == nil, claims: claims, ignored: ignored}
			return err
		})
	}
	err = all.Wait()
	if at, moved, markErr := rec.Moved(ctx); moved || markErr != nil {
		// claims may be made elsewhere by now; the next look follows
		seen, err = make([]claimSight, len(spec.Stacks)), cmp.Or(markErr, fmt.Errorf("the record is now at %s", location(at)))
	}
	if err != nil {
		o.drop(ctx) // whatever hangs there, the next look begins afresh
	}
	byStack := map[string]claimSight{}
	for i, st := range spec.Stacks {
		byStack[st.Name] = seen[i]
	}
	return byStack, err == nil
}

// record returns the record remote, opened through the first seal that opens: all
// of them lead to the same one. It stays open while the seals are the same.
func (o *ownership) record(ctx context.Context, spec agentapi.Host) (*sight, error) {
	with := fmt.Sprint(spec.Record)
	for _, st := range spec.Stacks {
		with += fmt.Sprintf(" %x", sha256.Sum256(st.Sealed))
	}
	if o.rec != nil && o.opened == with {
		return o.rec, nil
	}
	o.drop(ctx)
	errs := []error{fmt.Errorf("no sealed file on %s says how to reach the record remote", spec.Name)}
	for _, st := range spec.Stacks {
		a, err := o.h.open(spec.Name, st)
		if err == nil {
			o.rec, err = a.record(ctx, spec.Record)
		}
		if err == nil {
			o.opened = with
			return o.rec, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}
