package sealing

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"path"

	"salvor/internal/fleet"
	"salvor/internal/project"
	"salvor/internal/seal"
	"salvor/internal/sign"
)

// repositories gives a placement a repository on every target, with its
// password in the recovery file.
func (s *Sealer) repositories(stack string, p fleet.Placement, consent project.Consent, key sign.Key) (fleet.Placement, map[string][]byte, error) {
	recovery, err := s.Recovery(stack)
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
	for _, t := range s.needs.Targets(stack) {
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

// Recovery opens a stack's recovery file; a stack without one has an empty one.
func (s *Sealer) Recovery(stack string) (seal.Recovery, error) {
	sealed, err := s.needs.Signed(seal.RecoveryPath(stack))
	if err != nil || sealed.File == nil {
		return seal.Recovery{Stack: stack}, err
	}
	return s.keys.OpenRecovery(stack, sealed)
}
