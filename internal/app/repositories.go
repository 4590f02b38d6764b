package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"

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
	for _, t := range s.checkout.Fleet.Snapshots {
		if known[t.Name] == "" && consent == project.ConsentRestore {
			newest, before := recovery.NewestOn(t.Name)
			if known[t.Name] = newest; len(before) > 0 {
				if former == nil {
					former = map[string][]string{}
				}
				former[t.Name] = before
			}
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
	sealed, err := recovery.Seal(s.checkout.Fleet.Recipients.All(), key)
	return p, sealed.Files(seal.RecoveryPath(stack)), err
}

func newID() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: it ends the program instead
	return hex.EncodeToString(b)
}

// recovery opens a stack's recovery file; a stack without one has an empty one.
func (s *sealer) recovery(ctx context.Context, stack string) (seal.Recovery, error) {
	sealed, err := s.needs.Signed(seal.RecoveryPath(stack))
	if err != nil || sealed.File == nil {
		return seal.Recovery{Stack: stack}, err
	}
	return s.keys.openRecovery(ctx, stack, sealed)
}

// openRecovery opens the passwords of a stack's repositories, which must be what the
// fleet's key has signed.
func (a *FleetKeys) openRecovery(ctx context.Context, stack string, sealed seal.Signed) (seal.Recovery, error) {
	trusted, err := a.confirmed.Trusted(ctx)
	if err != nil {
		return seal.Recovery{}, err
	}
	r, err := sealed.OpenRecovery(trusted, a.identity.Ring, stack)
	if err == nil {
		a.identity.Trail.Add(seal.RecoveryPath(stack))
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
