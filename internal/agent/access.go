package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"slices"

	"salvor/internal/agentapi"
	"salvor/internal/blob"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/snapshot"
	"salvor/internal/stack"
	"salvor/internal/storage"
)

// access is what a stack's sealed file opens: its secrets, remotes and
// repositories. It lives in memory for one operation.
type access struct {
	file    agentapi.SealedFile
	remotes storage.Remotes
	appends []string                  // remotes on which the host deletes nothing
	epoch   int                       // the stack's
	locked  map[string]snapshot.Mark  // by repository, what salvor.lock says was proven
	proven  map[string]record.Proven  // by repository, once learned
	silent  error                     // why the record remote did not say what was proven
	ignored []record.Ignored          // what the record has of that, and no host signed that had the stack
	trusted func() (sign.Keys, error) // whose claims count
	own     func() (sign.Key, error)  // signs what this host writes down
	folders OpenFolder
	givenUp snapshot.Mark // a snapshot that the remote has lost, and that the operator gives up
}

func sealOf(st agentapi.Stack) seal.Signed {
	return seal.Signed{File: st.Sealed, Signature: st.Signature}
}

func untrustedFix(file string) string {
	return "git log -- " + file + " shows who changed it; salvor apply seals it again"
}

// sealFindings are about seals that the fleet's key has not signed: someone who can
// push put them there.
func (h *Host) sealFindings(spec agentapi.Host) []finding.Finding {
	trusted, err := h.base().Trusted()
	var found []finding.Finding
	for _, st := range spec.Stacks {
		file := seal.Placement{Host: spec.Name, Stack: st.Name}.Path()
		failed := err
		if failed == nil && len(st.Sealed) > 0 {
			failed = sealOf(st).Check(file, trusted)
		}
		if failed != nil && len(st.Sealed) > 0 {
			found = append(found, finding.Finding{Code: finding.SealUntrusted, Severity: finding.Warning, Subject: spec.Name + "/" + st.Name, Stack: st.Name,
				Text: "the host cannot open its secrets: " + failed.Error(), Fix: untrustedFix(file)})
		}
	}
	return found
}

// open returns the stack with what its sealed file holds, opened with the host's
// identity, if the fleet's key has signed it. After an error it is as it was.
func (s *Stack) open() (*Stack, error) {
	if len(s.Sealed) == 0 {
		return s, fault.WithHint(fmt.Errorf("stack %s has no seal for %s at epoch %d", s.Name, s.Spec.Name, s.Epoch), "salvor apply writes it")
	}
	trusted, err := s.Trusted()
	if err != nil {
		return s, err
	}
	key, err := agekey.OpenHost(s.Paths.Identity())
	if err != nil {
		return s, fault.WithHint(fmt.Errorf("the identity of %s can't be read: %w", s.Spec.Name, err),
			"salvor host add "+s.Spec.Name+" ADDRESS makes a new one, then salvor apply")
	}
	place := seal.Placement{Host: s.Spec.Name, Stack: s.Name, Epoch: s.Epoch}
	file, err := sealOf(s.Stack).Open(trusted, key, place, s.Inputs)
	switch {
	case errors.Is(err, sign.ErrUntrusted):
		return s, fault.WithHint(err, untrustedFix(place.Path()))
	case errors.Is(err, secret.ErrLocked), errors.Is(err, seal.ErrMismatch):
		return s, err
	case err != nil:
		return s, fault.WithHint(err, "git log -- "+place.Path()+" shows who changed it; remove the file, then salvor apply seals it again")
	}
	a := &access{file: file, remotes: storage.Unsealed(file.Remotes), trusted: s.Trusted, own: s.signing, folders: s.folders(), epoch: s.Epoch, locked: lockedMarks(s.Stack)}
	for _, t := range s.Targets {
		if t.AppendOnly {
			a.appends = append(a.appends, a.remotes.Base(t.Where.Remote))
		}
	}
	t := *s
	t.access = a
	return &t, nil
}

// logins returns the stack's registry logins.
func (a *access) logins() map[string]stack.Login {
	logins := map[string]stack.Login{}
	for registry, l := range a.file.Registries {
		logins[registry] = stack.Login{Username: secret.New(l.Username), Password: secret.New(l.Password)}
	}
	return logins
}

// opened is a stack's repository on one target, open until close.
type opened struct {
	snapshot.Repository
	folder record.Folder
}

func (r *opened) close(ctx context.Context) error { return r.folder.Close(context.WithoutCancel(ctx)) }

// repository opens the folder of a stack's repository. Nothing is created.
func (a *access) repository(ctx context.Context, stack string, t agentapi.Target) (*opened, error) {
	password, ok := a.file.Repositories[t.Repository]
	if !ok {
		return nil, fault.WithHint(fmt.Errorf("stack %s: the sealed file has no password for repository %s on %s", stack, t.Repository, t.Name), "salvor apply seals again")
	}
	where := fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack, t.Repository)}
	folder, err := a.folders(ctx, a.remotes, where)
	if err != nil {
		return nil, err
	}
	repo := snapshot.Repository{ID: t.Repository, Store: folder, Password: secret.New(password)}
	if t.AppendOnly {
		repo = repo.AppendOnly()
	}
	return &opened{Repository: repo, folder: folder}, nil
}

// sight is the record remote as one stack's access reaches it.
type sight struct {
	*record.Record
	folder  record.Folder
	ignored []record.Ignored // a mark there that leads nowhere
}

func (s *sight) close(ctx context.Context) error { return s.folder.Close(context.WithoutCancel(ctx)) }

func (a *access) record(ctx context.Context, where fleet.Location) (*sight, error) {
	if where.Remote == "" {
		return nil, errors.New("the fleet has no record remote")
	}
	trust := record.Trust{
		Keys: func(context.Context) (sign.Keys, error) { return a.trusted() },
		Own:  func(context.Context) (sign.Key, error) { return a.own() },
	}
	site, err := record.Follow(ctx, where, func(ctx context.Context, where fleet.Location) (record.Folder, error) {
		return a.folders(ctx, a.remotes, where)
	}, trust)
	if err != nil {
		return nil, err
	}
	if slices.Contains(a.appends, a.remotes.Base(site.Where.Remote)) {
		site.Folder = appending{blob.AppendOnly(site.Folder), site.Folder}
	}
	return &sight{Record: site.Record(trust), folder: site, ignored: site.Ignored}, nil
}

// appending is a record on a remote where the host deletes nothing.
type appending struct {
	blob.Store
	folder record.Folder
}

// Close implements record.Folder.
func (a appending) Close(ctx context.Context) error { return a.folder.Close(ctx) }

// sealedDigest distinguishes sealed files.
func sealedDigest(st agentapi.Stack) string {
	sum := sha256.Sum256(st.Sealed)
	return hex.EncodeToString(sum[:8])
}
