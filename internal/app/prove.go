package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"salvor/internal/card"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys"
	"salvor/internal/git"
	"salvor/internal/identity"
	"salvor/internal/mirror"
	"salvor/internal/needs"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/seal"
	"salvor/internal/secret/agekey"
	"salvor/internal/snapshot/repository"
)

// Prover tries whether the identity in use opens what a recovery needs.
type Prover struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	keys      *fleetkeys.Keys
	record    *recording.Recorder
}

// NewProver returns one for a checkout's fleet.
func NewProver(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, k *fleetkeys.Keys, r *recording.Recorder) *Prover {
	return &Prover{checkout: c, identity: id, needs: n, confirmed: confirmed, keys: k, record: r}
}

// A Proof is what a key opened.
type Proof struct {
	Recipients   []string `json:"recipients"` // of the identity that was tried
	Recovery     bool     `json:"recovery"`   // whether it is the recovery key
	Secrets      int      `json:"secrets"`
	Repositories int      `json:"repositories"`
	Snapshots    int      `json:"snapshots"`           // those that are good
	Damaged      []string `json:"damaged,omitempty"`   // those whose file the remote does not return as it was written, and why
	Mirror       string   `json:"mirror,omitempty"`    // commit of the newest mirror that the fleet's key has signed, "" for no mirror yet
	MirrorOf     string   `json:"mirror_of,omitempty"` // when that commit was made, and by whom

	Findings []finding.Finding `json:"findings,omitempty"` // what only looks like a mirror
}

// Prove opens with the present identity everything that a recovery needs: every secret in the
// repository, the password of every snapshot repository and with it the repository itself on its
// remote, and the repository's mirror. It commits the date.
func (a *Prover) Prove(ctx context.Context) (Proof, error) {
	p, err := a.tried()
	if err == nil {
		p.Secrets, err = a.proveSecrets(ctx)
	}
	if err == nil {
		err = a.proveRepositories(ctx, &p)
	}
	if err == nil {
		err = a.proveMirror(ctx, &p)
	}
	if err != nil {
		return p, err
	}
	return p, a.noteProof(ctx, p)
}

// tried names the keys that are tried; a plugin's can't be named.
func (a *Prover) tried() (Proof, error) {
	var p Proof
	ids, err := a.identity.Ring.Identities()
	p.Recipients = identity.RecipientsOf(ids)
	p.Recovery = slices.Contains(p.Recipients, a.checkout.Fleet.Recipients.Recovery)
	if err == nil && len(p.Recipients) == 0 {
		err = errors.New("the identity has no recipient, so a proof of it cannot be recorded")
	}
	return p, err
}

func (a *Prover) proveSecrets(ctx context.Context) (int, error) {
	all, err := a.identity.Store.List()
	if err != nil {
		return 0, err
	}
	opened := 0
	for _, s := range all {
		if s.Command != nil {
			continue // another key opens it
		}
		if _, err := a.identity.Secret(ctx, s.Name); err != nil {
			return 0, fmt.Errorf("secret %s: %w", s.Name, err)
		}
		opened++
	}
	return opened, nil
}

func (a *Prover) proveRepositories(ctx context.Context, p *Proof) error {
	for stack, placed := range a.checkout.Lock.Stacks {
		sealed, err := a.needs.Signed(seal.RecoveryPath(stack))
		if err != nil {
			return err
		}
		known, err := a.keys.OpenRecovery(ctx, stack, sealed)
		if err != nil {
			return err
		}
		for _, one := range placed.EveryRepository() {
			repo, ok := known.Find(one.ID)
			if !ok {
				return fmt.Errorf("%s has no password of repository %s", seal.RecoveryPath(stack), one.ID)
			}
			n, there, err := a.proveRepository(ctx, p, stack, one.Target, repo)
			if err != nil {
				return fmt.Errorf("repository %s of %s: %w", one.ID, stack, err)
			}
			if there {
				p.Repositories, p.Snapshots = p.Repositories+1, p.Snapshots+n
			}
		}
	}
	return nil
}

// proveRepository opens a repository on its remote and counts its snapshots. One
// that no snapshot was ever taken to is not there yet.
func (a *Prover) proveRepository(ctx context.Context, p *Proof, stack, target string, repo seal.Repository) (snapshots int, there bool, err error) {
	where := fleet.Location{}
	for _, t := range a.checkout.Fleet.Snapshots {
		if t.Name == target {
			where = fleet.Location{Remote: t.Where.Remote, Path: t.Where.Path + "/" + stack + "/" + repo.ID}
		}
	}
	if where.Remote == "" {
		return 0, false, fault.WithHint(fmt.Errorf("snapshot target %s is not declared", target), "salvor check")
	}
	folder, err := a.record.Open(ctx, where)
	if err != nil {
		return 0, false, err
	}
	defer func() { err = errors.Join(err, folder.Close(context.WithoutCancel(ctx))) }()
	if there, err = repository.Exists(ctx, folder); err != nil || !there {
		return 0, there, err
	}
	opened, err := repository.Open(ctx, folder, repo.Password, repository.Spare{})
	if err != nil {
		return 0, true, err
	}
	good, damaged, err := opened.Snapshots(ctx)
	for _, d := range damaged {
		p.Damaged = append(p.Damaged, fmt.Sprintf("snapshot %.8s of %s: %v", d.ID, stack, d.Err))
	}
	return len(good), true, err
}

// proveMirror opens the newest mirror that is signed. Its commit must be one that this
// clone has: else it is a mirror of something else.
func (a *Prover) proveMirror(ctx context.Context, p *Proof) error {
	if a.checkout.Fleet.Record.Remote == "" {
		return nil
	}
	trusted, err := a.confirmed.Trusted(ctx)
	if err != nil {
		return err
	}
	var m record.Mirror
	err = a.record.With(ctx, func(rec *record.Record) (err error) {
		var unread []record.Unread
		m, _, unread, err = mirror.Open(ctx, rec, trusted, a.identity.Ring)
		for _, u := range unread {
			p.Findings = append(p.Findings, u.Finding(finding.MirrorUntrusted))
		}
		return err
	})
	if err != nil || m.Commit == "" {
		return err
	}
	commit, err := git.ParseCommit(m.Commit)
	if err == nil {
		p.MirrorOf, err = a.checkout.Git.About(ctx, commit)
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", m.Path(), err), "git pull, if another operator has committed since; "+
			"otherwise its commit is unknown, and salvor apply makes a new mirror")
	}
	p.Mirror = m.Commit
	return nil
}

func (a *Prover) noteProof(ctx context.Context, p Proof) error {
	proven, err := card.ReadProven(a.checkout.File)
	if err != nil {
		return err
	}
	next := card.Proven{}
	maps.Copy(next, proven)
	for _, r := range p.Recipients {
		next[r] = time.Now().UTC().Truncate(time.Second)
	}
	content, err := next.Encode()
	if err != nil {
		return err
	}
	what := "an operator's key"
	if p.Recovery {
		what = "the recovery key"
	}
	return a.checkout.CommitFiles(ctx, map[string][]byte{card.ProvenPath: content}, "key prove: "+what+" opens everything")
}

// unproven is the finding about a recovery key that was never tried, or not for a
// year, in a fleet with data.
func (a *Prover) unproven(now time.Time) ([]finding.Finding, error) {
	recovery := a.checkout.Fleet.Recipients.Recovery
	if len(a.checkout.Lock.Stacks) == 0 || recovery == "" {
		return nil, nil
	}
	proven, err := card.ReadProven(a.checkout.File)
	if err != nil {
		return nil, err
	}
	text := "the recovery key was never tried, so it is not known whether the card opens this fleet"
	if at, tried := proven[recovery]; tried {
		if now.Sub(at) < card.ProofLasts {
			return nil, nil
		}
		text = "the recovery key was last tried on " + at.Format(time.DateOnly)
	}
	return []finding.Finding{{Code: finding.KeyUnproven, Severity: finding.Warning, Subject: agekey.RecoveryPath, Text: text, Fix: "salvor key prove --identity CARD, with the card's text in a file"}}, nil
}
