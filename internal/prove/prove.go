// Package prove tries whether a key opens everything that a recovery needs, and notes
// when it did.
package prove

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"salvor/internal/card"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secretstore"
	"salvor/internal/snapshot/repository"
)

// A Fleet is the newest commit of the fleet, opened with the key that is tried.
type Fleet struct {
	Declared *fleet.Fleet
	Lock     fleet.Lock
	File     func(name string) ([]byte, error) // of the commit
	// Recipients are the identity's; a plugin's can't be named.
	Recipients func() ([]string, error)
	// Secrets lists the secrets of the repository, and Secret opens one.
	Secrets func() ([]secretstore.Info, error)
	Secret  func(ctx context.Context, name string) (secret.Value, error)
	// Recovery opens the passwords of a stack's repositories: none for one that never had any.
	Recovery func(stack string) (seal.Recovery, error)
	// Open opens a folder on a remote.
	Open record.Open
	// Mirror opens the newest mirror of the repository that the fleet's key has signed,
	// the zero one for none. The findings are about what only looks like one.
	Mirror func(ctx context.Context) (record.Mirror, []finding.Finding, error)
	// About says when a commit that the clone has was made, and by whom.
	About       func(ctx context.Context, c git.Commit) (string, error)
	CommitFiles func(ctx context.Context, files map[string][]byte, message string) error
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

// Prepare proposes to open everything that a recovery needs: every secret in the
// repository, the password of every snapshot repository and with it the repository itself
// on its remote, and the repository's mirror. Where all open, the date is committed. It
// asks nothing.
func Prepare(f *Fleet) proposal.Proposal[Proof] {
	return proposal.New("try a key", func(ctx context.Context, _ progress.Sink) (Proof, error) { return f.prove(ctx) })
}

func (f *Fleet) prove(ctx context.Context) (Proof, error) {
	p, err := f.tried()
	for _, step := range []func(context.Context, *Proof) error{f.secrets, f.repositories, f.mirror, f.note} {
		if err != nil {
			return p, err
		}
		err = step(ctx, &p)
	}
	return p, err
}

// tried names the keys that are tried; a plugin's can't be named.
func (f *Fleet) tried() (p Proof, err error) {
	p.Recipients, err = f.Recipients()
	p.Recovery = slices.Contains(p.Recipients, f.Declared.Recipients.Recovery)
	if err == nil && len(p.Recipients) == 0 {
		err = errors.New("the identity has no recipient, so a proof of it cannot be recorded")
	}
	return p, err
}

func (f *Fleet) secrets(ctx context.Context, p *Proof) error {
	all, err := f.Secrets()
	if err != nil {
		return err
	}
	for _, s := range all {
		if s.Command != nil {
			continue // another key opens it
		}
		if _, err := f.Secret(ctx, s.Name); err != nil {
			return fmt.Errorf("secret %s: %w", s.Name, err)
		}
		p.Secrets++
	}
	return nil
}

func (f *Fleet) repositories(ctx context.Context, p *Proof) error {
	for stack, placed := range f.Lock.Stacks {
		known, err := f.Recovery(stack)
		if err != nil {
			return err
		}
		for _, one := range placed.EveryRepository() {
			repo, ok := known.Find(one.ID)
			if !ok {
				return fmt.Errorf("%s has no password of repository %s", seal.RecoveryPath(stack), one.ID)
			}
			if err := f.repository(ctx, p, stack, one.Target, repo); err != nil {
				return fmt.Errorf("repository %s of %s: %w", one.ID, stack, err)
			}
		}
	}
	return nil
}

// repository opens a repository on its remote and counts its snapshots. One that no
// snapshot was ever taken to is not there yet.
func (f *Fleet) repository(ctx context.Context, p *Proof, stack, target string, repo seal.Repository) (err error) {
	where := fleet.Location{}
	for _, t := range f.Declared.Snapshots {
		if t.Name == target {
			where = fleet.Location{Remote: t.Where.Remote, Path: t.Where.Path + "/" + stack + "/" + repo.ID}
		}
	}
	if where.Remote == "" {
		return fault.WithHint(fmt.Errorf("snapshot target %s is not declared", target), "salvor check")
	}
	folder, err := f.Open(ctx, where)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, folder.Close(context.WithoutCancel(ctx))) }()
	if there, err := repository.Exists(ctx, folder); err != nil || !there {
		return err
	}
	opened, err := repository.Open(ctx, folder, repo.Password, repository.Spare{})
	if err != nil {
		return err
	}
	good, damaged, err := opened.Snapshots(ctx)
	for _, d := range damaged {
		p.Damaged = append(p.Damaged, fmt.Sprintf("snapshot %.8s of %s: %v", d.ID, stack, d.Err))
	}
	p.Repositories, p.Snapshots = p.Repositories+1, p.Snapshots+len(good)
	return err
}

// mirror opens the newest mirror that is signed. Its commit must be one that this
// clone has: else it is a mirror of something else.
func (f *Fleet) mirror(ctx context.Context, p *Proof) error {
	if f.Declared.Record.Remote == "" {
		return nil
	}
	m, findings, err := f.Mirror(ctx)
	p.Findings = findings
	if err != nil || m.Commit == "" {
		return err
	}
	commit, err := git.ParseCommit(m.Commit)
	if err == nil {
		p.MirrorOf, err = f.About(ctx, commit)
	}
	if err != nil {
		return fault.WithHint(fmt.Errorf("%s: %w", m.Path(), err), "git pull, if another operator has committed since; "+
			"otherwise its commit is unknown, and salvor apply makes a new mirror")
	}
	p.Mirror = m.Commit
	return nil
}

// note commits the date.
func (f *Fleet) note(ctx context.Context, p *Proof) error {
	proven, err := card.ReadProven(f.File)
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
	return f.CommitFiles(ctx, map[string][]byte{card.ProvenPath: content}, "key prove: "+what+" opens everything")
}
