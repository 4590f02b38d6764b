package here

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

// Access is what a stack's sealed file opens: its secrets, remotes and
// repositories. It lives in memory for one operation.
type Access struct {
	File    agentapi.SealedFile
	remotes storage.Remotes
	appends []string                  // remotes on which the host deletes nothing
	Epoch   int                       // the stack's
	Locked  map[string]snapshot.Mark  // by repository, what salvor.lock says was proven
	Proven  map[string]record.Proven  // by repository, once learned
	Silent  error                     // why the record remote did not say what was proven
	Ignored []record.Ignored          // what the record has of that, and no host signed that had the stack
	trusted func() (sign.Keys, error) // ownershipFindings claims count
	own     func() (sign.Key, error)  // signs what this host writes down
	folders OpenFolder
	GivenUp snapshot.Mark // a snapshot that the remote has lost, and that the operator gives up
}

// SealOf returns a stack's sealed file with its signature.
func SealOf(st agentapi.Stack) seal.Signed {
	return seal.Signed{File: st.Sealed, Signature: st.Signature}
}

// UntrustedFix is the hint for a sealed file that the fleet's key has not signed.
func UntrustedFix(file string) string {
	return "git log -- " + file + " shows who changed it; salvor apply seals it again"
}

// Open returns the stack with what its sealed file holds, opened with the host's
// identity, if the fleet's key has signed it. After an error it is as it was.
func (s *Stack) Open() (*Stack, error) {
	if len(s.Sealed) == 0 {
		return s, fault.WithHint(fmt.Errorf("stack %s has no seal for %s at epoch %d", s.Name, s.Spec.Name, s.Epoch), "salvor apply writes it")
	}
	trusted, err := s.Host.Trusted()
	if err != nil {
		return s, err
	}
	key, err := agekey.OpenHost(s.Host.Paths.Identity())
	if err != nil {
		return s, fault.WithHint(fmt.Errorf("the identity of %s can't be read: %w", s.Spec.Name, err),
			"salvor host add "+s.Spec.Name+" ADDRESS makes a new one, then salvor apply")
	}
	place := seal.Placement{Host: s.Spec.Name, Stack: s.Name, Epoch: s.Epoch}
	file, err := SealOf(s.Stack).Open(trusted, key, place, s.Inputs)
	switch {
	case errors.Is(err, sign.ErrUntrusted):
		return s, fault.WithHint(err, UntrustedFix(place.Path()))
	case errors.Is(err, secret.ErrLocked), errors.Is(err, seal.ErrMismatch):
		return s, err
	case err != nil:
		return s, fault.WithHint(err, "git log -- "+place.Path()+" shows who changed it; remove the file, then salvor apply seals it again")
	}
	a := &Access{File: file, remotes: storage.Unsealed(file.Remotes), trusted: s.Host.Trusted, own: s.Host.Signing, folders: s.Host.folders(), Epoch: s.Epoch, Locked: lockedMarks(s.Stack)}
	for _, t := range s.Targets {
		if t.AppendOnly {
			a.appends = append(a.appends, a.remotes.Base(t.Where.Remote))
		}
	}
	t := *s
	t.Access = a
	return &t, nil
}

// Remotes returns the remotes that the sealed file has.
func (a *Access) Remotes() storage.Remotes { return a.remotes }

// logins returns the stack's registry logins.
func (a *Access) logins() map[string]stack.Login {
	logins := map[string]stack.Login{}
	for registry, l := range a.File.Registries {
		logins[registry] = stack.Login{Username: secret.New(l.Username), Password: secret.New(l.Password)}
	}
	return logins
}

// Through returns the same access, which opens places on remotes by open.
func (a *Access) Through(open OpenFolder) *Access {
	other := *a
	other.folders = open
	return &other
}

// Repository is a stack's repository on one target, open until close.
type Repository struct {
	snapshot.Repository
	folder record.Folder
}

// Close gives up the connection to the remote.
func (r *Repository) Close(ctx context.Context) error {
	return r.folder.Close(context.WithoutCancel(ctx))
}

// Repository opens the folder of a stack's repository, which is below the target's place, by
// the stack's name and the repository's id. Nothing is created, and on a target that is
// append-only nothing is deleted. Close it when done.
func (a *Access) Repository(ctx context.Context, stack string, t agentapi.Target) (*Repository, error) {
	password, ok := a.Password(t.Repository)
	if !ok {
		return nil, fault.WithHint(fmt.Errorf("stack %s: the sealed file has no password for repository %s on %s", stack, t.Repository, t.Name), "salvor apply seals again")
	}
	where := fleet.Location{Remote: t.Where.Remote, Path: path.Join(t.Where.Path, stack, t.Repository)}
	folder, err := a.folders(ctx, a.remotes, where)
	if err != nil {
		return nil, err
	}
	repo := snapshot.Repository{ID: t.Repository, Store: folder, Password: password}
	if t.AppendOnly {
		repo = repo.AppendOnly()
	}
	return &Repository{Repository: repo, folder: folder}, nil
}

// Password returns the password of a repository, if the sealed file has it.
func (a *Access) Password(repository string) (secret.Value, bool) {
	password, ok := a.File.Repositories[repository]
	return secret.New(password), ok
}

// Record is the record remote as one stack's access reaches it.
type Record struct {
	*record.Record
	folder  record.Folder
	Ignored []record.Ignored // a mark there that leads nowhere
	Metered bool             // calls to the remote are counted
}

// Close gives up the connection to the remote.
func (r *Record) Close(ctx context.Context) error { return r.folder.Close(context.WithoutCancel(ctx)) }

// Record opens the record remote, wherever the record has moved to. Where any target of the
// stack on the same remote is append-only, nothing of the record is deleted. Close it when done.
func (a *Access) Record(ctx context.Context, where fleet.Location) (*Record, error) {
	if where.Remote == "" {
		return nil, errors.New("the fleet has no record remote")
	}
	trust := record.Trust{
		Keys: func() (sign.Keys, error) { return a.trusted() },
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
	return &Record{Record: site.Record(trust), folder: site, Ignored: site.Ignored, Metered: a.remotes.Metered(site.Where.Remote)}, nil
}

// appending is a record on a remote where the host deletes nothing.
type appending struct {
	blob.Store
	folder record.Folder
}

// Close implements record.Folder.
func (a appending) Close(ctx context.Context) error { return a.folder.Close(ctx) }

// SealedDigest tells one sealed file from another.
func SealedDigest(st agentapi.Stack) string {
	sum := sha256.Sum256(st.Sealed)
	return hex.EncodeToString(sum[:8])
}

// lockedMarks are the marks that salvor.lock has of a stack's repositories.
func lockedMarks(st agentapi.Stack) map[string]snapshot.Mark {
	marks := map[string]snapshot.Mark{}
	for id, p := range st.Proven {
		if p.Epoch <= st.Epoch {
			marks[id] = snapshot.Mark{Epoch: p.Epoch, Seq: p.Seq, Repository: id, ID: p.ID}
		}
	}
	return marks
}
