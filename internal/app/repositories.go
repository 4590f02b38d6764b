package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

// repositories gives a placement a repository on every target, with its
// password in the recovery file.
func (s *sealer) repositories(ctx context.Context, stack string, p fleet.Placement, consent project.Consent, key sign.Key) (fleet.Placement, map[string][]byte, error) {
	recovery, err := s.recovery(ctx, stack)
	if err != nil {
		return p, nil, err
	}
	known, former := map[string]string{}, maps.Clone(p.Former)
	if consent == project.ConsentFresh {
		former = nil // what was is kept, and is not this stack's history any more
	} else {
		maps.Copy(known, p.Repositories)
	}
	changed := false
	for _, t := range s.app.Checkout.Fleet.Snapshots {
		if known[t.Name] == "" && consent == project.ConsentRestore {
			known[t.Name], former = takenUp(recovery, t.Name, former)
		}
		if known[t.Name] != "" {
			continue
		}
		id := newID()
		known[t.Name], changed = id, true
		recovery, err = recovery.Add(seal.Repository{ID: id, Target: t.Name, Location: t.Where.Remote + ":" + path.Join(t.Where.Path, stack, id), Password: seal.NewPassword()})
		if err != nil {
			return p, nil, err
		}
	}
	p.Repositories, p.Former = known, former
	if !changed {
		return p, nil, nil
	}
	sealed, err := recovery.Seal(s.app.Checkout.Fleet.Recipients.All(), key)
	return p, sealed.Files(seal.RecoveryPath(stack)), err
}

// takenUp returns the newest repository that the stack's name ever had on a
// target, and those before it as its former ones: which of them has a snapshot is
// not known here.
func takenUp(r seal.Recovery, target string, former map[string][]string) (newest string, _ map[string][]string) {
	var ids []string
	for _, repo := range r.Repositories {
		if repo.Target == target {
			ids = append(ids, repo.ID)
		}
	}
	if len(ids) == 0 {
		return "", former
	}
	if before := ids[:len(ids)-1]; len(before) > 0 {
		if former == nil {
			former = map[string][]string{}
		}
		former[target] = before
	}
	return ids[len(ids)-1], former
}

func newID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// recovery opens a stack's recovery file; a stack without one has an empty one.
func (s *sealer) recovery(ctx context.Context, stack string) (seal.Recovery, error) {
	sealed, err := s.signed(seal.RecoveryPath(stack))
	if err != nil || sealed.File == nil {
		return seal.Recovery{Stack: stack}, err
	}
	return s.app.openRecovery(ctx, stack, sealed)
}

// A placedRepository is one that a placement names, present or former.
type placedRepository struct{ target, id string }

// repositoriesOf returns all of a placement's repositories, by target, the
// present one first.
func repositoriesOf(p fleet.Placement) []placedRepository {
	var all []placedRepository
	for _, target := range slices.Sorted(maps.Keys(p.Repositories)) {
		all = append(all, placedRepository{target, p.Repositories[target]})
	}
	for _, target := range slices.Sorted(maps.Keys(p.Former)) {
		for _, id := range slices.Backward(p.Former[target]) {
			all = append(all, placedRepository{target, id})
		}
	}
	return all
}

// openRecovery opens the passwords of a stack's repositories, which must be what the
// fleet's key has signed.
func (a *App) openRecovery(ctx context.Context, stack string, sealed seal.Signed) (seal.Recovery, error) {
	trusted, err := a.Trusted(ctx)
	if err != nil {
		return seal.Recovery{}, err
	}
	r, err := sealed.OpenRecovery(trusted, a.Identity.Ring, stack)
	if err == nil {
		a.Identity.Trail.Add(seal.RecoveryPath(stack))
	}
	return r, hintUntrusted(err, seal.RecoveryPath(stack))
}

// hintUntrusted says what to do about a file that the fleet's key has not signed and
// that Salvor can't make again.
func hintUntrusted(err error, file string) error {
	if !errors.Is(err, sign.ErrUntrusted) {
		return err
	}
	return fault.WithHint(err, fmt.Sprintf("git log -- %s shows who changed it; git checkout COMMIT -- %s %s restores "+
		"the version that the fleet has signed", file, file, seal.SignaturePath(file)))
}
