// Package recording reaches the record and the snapshot targets from the operator's computer:
// it claims stacks for hosts, and returns what hosts have written down.
package recording

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/deploy"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/git"
	"salvor/internal/hostkey"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/placement"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/storage"
)

// Recorder reaches the record remote and the snapshot targets from the
// operator's machine.
type Recorder struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	keys      *fleetkeys.Keys
	computer  storage.Computer
	sink      progress.Sink

	opened folders

	named     sync.Map  // paths of claims that were named as ignored: once is enough for a command
	movedNote sync.Once // says that the record is not where the lock has it
}

// New returns what reaches the remotes of a checkout, and shares access tokens and lines with
// the operator's other commands.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, k *fleetkeys.Keys, computer storage.Computer, sink progress.Sink) *Recorder {
	if computer.Lines.Dir != "" {
		computer.Lines.Dir = filepath.Join(computer.Lines.Dir, c.Fleet.Name) // another fleet's remote of that name is another one
	}
	computer.Lines.Timetable = func(remote string) string { return c.Fleet.Bandwidths()[remote] }
	return &Recorder{checkout: c, identity: id, needs: n, confirmed: confirmed, keys: k, computer: computer, sink: sink}
}

// Open resolves the secrets of a location's remotes and opens it.
func (r *Recorder) Open(ctx context.Context, where fleet.Location) (*storage.Folder, error) {
	remotes := storage.Remotes{}
	for _, declared := range storage.WithWrapped(&r.checkout.Fleet, []string{where.Remote}) {
		if err := r.confirmed.AllowRemote(declared); err != nil {
			return nil, err
		}
		remote := storage.Remote{Type: declared.Type, Options: map[string]secret.Value{}}
		for option, setting := range declared.Options {
			value, err := r.Resolve(ctx, setting)
			if err != nil {
				return nil, fmt.Errorf("remote %s, option %s: %w", declared.Name, option, err)
			}
			remote.Options[option] = value
		}
		remotes[declared.Name] = remote
	}
	return r.computer.Open(ctx, remotes, where)
}

// Resolve opens what an option of a remote says: only secrets that a remote may be given.
func (r *Recorder) Resolve(ctx context.Context, option secret.Setting) (secret.Value, error) {
	return option.Resolve(ctx, secretstore.Delivered{Store: r.identity.Store})
}

// With opens the record remote for one piece of work.
func (r *Recorder) With(ctx context.Context, work func(*record.Record) error) error {
	where := r.checkout.Fleet.Record
	if where.Remote == "" {
		return fault.WithHint(errors.New("the fleet has no remote for its record"), "declare one under remotes: in fleet.yaml")
	}
	site, err := record.Follow(ctx, where, r.Folder, r.Trust())
	if errors.Is(err, record.ErrMoved) {
		err = fault.WithHint(err, "a salvor record move was interrupted: run the same command again to finish it")
	}
	if err != nil {
		return fmt.Errorf("record remote: %w", err)
	}
	r.noteMoved(where, site.Where)
	r.noteIgnored("", site.Ignored)
	rec := site.Record(r.Trust())
	return errors.Join(work(rec), site.Close(context.WithoutCancel(ctx)))
}

// Trust uses the fleet's keys as this clone has them.
func (r *Recorder) Trust() record.Trust {
	return record.Trust{Keys: r.confirmed.Trusted, Key: r.keys.SigningKey, Hosts: r.checkout.HostSigners}
}

// Folder is Open, as package record needs it. Each place is connected to once, however
// often it is opened, and left by Close.
func (r *Recorder) Folder(ctx context.Context, where fleet.Location) (record.Folder, error) {
	return r.opened.get(where, func() (record.Folder, error) { return r.Open(ctx, where) })
}

// Close gives up the connections to all remotes.
func (r *Recorder) Close(ctx context.Context) error { return r.opened.close(ctx) }

// noteMoved says, once, that the record is not where salvor.lock has it.
func (r *Recorder) noteMoved(want, at fleet.Location) {
	if at == want || r.sink == nil {
		return
	}
	r.movedNote.Do(func() {
		text := fmt.Sprintf("the record is at %s:%s, but salvor.lock here does not say so: git pull --rebase, or, if a "+
			"record move was interrupted, salvor record move %s:%s", at.Remote, at.Path, at.Remote, at.Path)
		progress.Scope{Sink: r.sink, Host: r.checkout.Fleet.Name}.Note(text)
	})
}

// Claim implements deploy.Record.
func (r *Recorder) Claim(ctx context.Context, stack string, epoch int, host, commit string) error {
	return r.With(ctx, func(rec *record.Record) error {
		signer := r.checkout.HostSigners[host]
		if signer == "" && host != "" {
			return fault.WithHint(fmt.Errorf("%s has no signing key in %s", host, hostkey.Path(host)), "salvor host add "+host+" ADDRESS enrols it again")
		}
		want := record.Claim{Epoch: epoch, Host: host, Key: r.checkout.Recipients[host], Sign: signer, Commit: commit, At: time.Now().UTC(), Ended: host == ""}
		ruling, err := rec.Claim(ctx, stack, want, r.OnBranch(ctx))
		if err != nil {
			return err
		}
		if owner := Owner(ruling, r.checkout.Recipients); owner != (deploy.Owner{Host: host, Key: want.Key, Epoch: epoch}) {
			return deploy.Outrun(stack, owner)
		}
		return nil
	})
}

// listedAtOnce is how many stacks' claims are listed at a time.
const listedAtOnce = 4

// Owners implements deploy.Record.
func (r *Recorder) Owners(ctx context.Context, stacks []string) (map[string]deploy.Owner, error) {
	owners := make([]deploy.Owner, len(stacks))
	err := r.With(ctx, func(rec *record.Record) error {
		onBranch := r.OnBranch(ctx)
		all, ctx := errgroup.WithContext(ctx)
		all.SetLimit(listedAtOnce)
		for i, stack := range stacks {
			all.Go(func() error {
				claims, ignored, err := rec.Claims(ctx, stack)
				r.noteIgnored(stack, ignored)
				owners[i] = Owner(record.Rule(claims, onBranch), r.checkout.Recipients)
				return err
			})
		}
		return all.Wait()
	})
	byStack := map[string]deploy.Owner{}
	for i, stack := range stacks {
		byStack[stack] = owners[i]
	}
	return byStack, err
}

// noteIgnored reports the files among a stack's claims that do not count.
func (r *Recorder) noteIgnored(stack string, ignored []record.Ignored) {
	for _, i := range ignored {
		if _, said := r.named.LoadOrStore(i.Path, true); !said && r.sink != nil {
			progress.Scope{Sink: r.sink, Host: r.checkout.Fleet.Name, Stack: stack}.Note("not signed by the fleet, ignored: " + i.Text())
		}
	}
}

// OnBranch judges as hosts do: by what the Git host has. While something here is
// not pushed, a commit that the Git host does not have may be on the branch later.
func (r *Recorder) OnBranch(ctx context.Context) record.OnBranch {
	base, err := r.checkout.Git.Tracked(ctx)
	if err != nil {
		return func(string) (bool, bool) { return false, false }
	}
	return func(id string) (on, known bool) {
		commit, err := git.ParseCommit(id)
		if err != nil {
			return false, false
		}
		on, err = r.checkout.Git.IsAncestor(ctx, commit, base)
		if err != nil {
			on = false // a commit that this clone does not know is not behind one that it has
		}
		return on, on || base == r.checkout.Commit
	}
}

// Epoch implements deploy.Record. Without a record nothing was ever claimed.
func (r *Recorder) Epoch(ctx context.Context, stack string) (epoch int, err error) {
	if r.checkout.Fleet.Record.Remote == "" {
		return 0, nil
	}
	err = r.With(ctx, func(rec *record.Record) error {
		claims, _, err := rec.Claims(ctx, stack)
		if len(claims) > 0 {
			epoch = claims[0].Epoch
		}
		return err
	})
	return epoch, err
}

// Used implements deploy.Record. A fleet keeps the passwords of every repository that
// it ever had: where it has none for a name, what is on the targets is another fleet's.
func (r *Recorder) Used(ctx context.Context, stack string) ([]string, error) {
	if sealed, err := r.needs.File(seal.RecoveryPath(stack)); err != nil || sealed == nil {
		return nil, err
	}
	return Used(ctx, r.checkout.Fleet.Snapshots, stack, r.Folder)
}

// Facts implements deploy.Record.
func (r *Recorder) Facts(ctx context.Context, lock fleet.Lock) (found map[string][]placement.Learned, ignored []finding.Finding, _ error) {
	err := r.With(ctx, func(rec *record.Record) (err error) {
		found, ignored, err = Facts(ctx, rec, lock, r.checkout.Fleet.Hosts)
		return err
	})
	return found, ignored, err
}

// Proven implements deploy.Record.
func (r *Recorder) Proven(ctx context.Context, lock fleet.Lock) (found map[string]map[string]fleet.Proven, ignored []finding.Finding, _ error) {
	found = map[string]map[string]fleet.Proven{}
	all, ignored, err := r.proven(ctx, lock)
	for name, proven := range all {
		found[name] = map[string]fleet.Proven{}
		for _, one := range proven {
			found[name][one.Repository] = fleet.Proven{Epoch: one.Epoch, Seq: one.Seq, ID: one.Snapshot}
		}
	}
	return found, ignored, err
}

// Sizes implements deploy.Record.
func (r *Recorder) Sizes(ctx context.Context, lock fleet.Lock) (map[string]int64, error) {
	sizes := map[string]int64{}
	all, _, err := r.proven(ctx, lock) // Proven names what is ignored
	for name, proven := range all {
		for _, one := range proven {
			sizes[name] = max(sizes[name], one.Bytes)
		}
	}
	return sizes, err
}

// proven returns the newest proven snapshots of placed stacks, by stack.
func (r *Recorder) proven(ctx context.Context, lock fleet.Lock) (found map[string][]record.Proven, ignored []finding.Finding, _ error) {
	found = map[string][]record.Proven{}
	var mu sync.Mutex
	err := r.With(ctx, func(rec *record.Record) error {
		all, ctx := errgroup.WithContext(ctx)
		all.SetLimit(listedAtOnce)
		for name, p := range lock.Stacks {
			all.Go(func() error {
				proven, passed, err := rec.Proven(ctx, name, p.Epoch)
				mu.Lock()
				defer mu.Unlock()
				found[name] = proven
				ignored = append(ignored, record.Findings(name, passed)...)
				return err
			})
		}
		return all.Wait()
	})
	return found, ignored, err
}
