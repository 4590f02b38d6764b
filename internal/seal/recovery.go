package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"salvor/internal/fleet"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// A Recovery is what sealed/recovery/<stack>.age holds: how to reach every
// snapshot repository the stack has or had. It is a text that a person reads
// with `age -d` alone:
//
//	# Snapshot repositories of the stack notes. …
//	schema: 1
//	stack: notes
//
//	repository: 3f2a91c0
//	target: offsite
//	location: drive:salvor/snapshots/notes/3f2a91c0
//	password: …
type Recovery struct {
	Stack        string
	Repositories []Repository // in the order they were added
}

// A Repository is one restic repository.
type Repository struct {
	ID       string // as in salvor.lock
	Target   string // snapshot target it belongs to
	Location string // remote:path
	Password secret.Value
}

const recoverySchema = "1"

// RecoveryPath returns where a stack's recovery file is in the repository.
func RecoveryPath(stack string) string { return fleet.RecoveryFile(stack) }

// NewPassword returns 256 random bits as base64url text.
func NewPassword() secret.Value {
	b := make([]byte, 32)
	rand.Read(b) // never fails: it ends the program instead
	return secret.NewString(base64.RawURLEncoding.EncodeToString(b))
}

// Find returns the repository of that id.
func (r Recovery) Find(id string) (Repository, bool) {
	i := slices.IndexFunc(r.Repositories, func(x Repository) bool { return x.ID == id })
	if i < 0 {
		return Repository{}, false
	}
	return r.Repositories[i], true
}

// NewestOn returns the newest repository that the stack's name ever had on a target, and
// those before it, newest last: which of them has a snapshot is not known here. Where it
// had none newest is "".
func (r Recovery) NewestOn(target string) (newest string, before []string) {
	var ids []string
	for _, repo := range r.Repositories {
		if repo.Target == target {
			ids = append(ids, repo.ID)
		}
	}
	if len(ids) == 0 {
		return "", nil
	}
	return ids[len(ids)-1], ids[:len(ids)-1]
}

// Add returns the recovery with one more repository. An id that is there
// already is an error: a password is never replaced, since the repository could
// then not be opened.
func (r Recovery) Add(repo Repository) (Recovery, error) {
	if _, ok := r.Find(repo.ID); ok {
		return r, fmt.Errorf("%s: repository %s is there already", RecoveryPath(r.Stack), repo.ID)
	}
	r.Repositories = append(slices.Clone(r.Repositories), repo)
	return r, r.check()
}

// Seal returns the recovery encrypted to the fleet's recipients and signed by its key:
// who could put another in its place would choose where a stack's data goes.
func (r Recovery) Seal(recipients []string, key sign.Key) (Signed, error) {
	if err := r.check(); err != nil {
		return Signed{}, err
	}
	in := recoveryInputs(r.Stack, recipients)
	sealed, err := encrypt(r.text(), in)
	if err != nil {
		return Signed{}, fmt.Errorf("%s: %w", RecoveryPath(r.Stack), err)
	}
	return signFile(sealed, RecoveryPath(r.Stack), in.Digest(), key)
}

// OpenRecovery opens a stack's recovery file with an operator's or the recovery
// identity. One that none of the fleet's keys has signed wraps sign.ErrUntrusted, a
// wrong identity secret.ErrLocked, the file of another stack ErrMismatch.
func (s Signed) OpenRecovery(trusted sign.Keys, ring agekey.Keyring, stack string) (Recovery, error) {
	if _, err := s.check(RecoveryPath(stack), trusted); err != nil {
		return Recovery{}, err
	}
	plain, err := agekey.Decrypt(RecoveryPath(stack), s.File, ring)
	if err != nil {
		return Recovery{}, err
	}
	r, err := ParseRecovery(RecoveryPath(stack), plain)
	if err == nil && r.Stack != stack {
		err = fmt.Errorf("%s: it is for stack %q: %w", RecoveryPath(stack), r.Stack, ErrMismatch)
	}
	return r, err
}

// RecoveryCurrent is Current for a recovery file that is encrypted to exactly these
// recipients.
func (s Signed) RecoveryCurrent(stack string, recipients []string, trusted sign.Keys) error {
	return s.current(RecoveryPath(stack), recoveryInputs(stack, recipients), trusted)
}

func recoveryInputs(stack string, recipients []string) Inputs {
	return Inputs{Placement: Placement{Host: "recovery", Stack: stack}, Recipients: recipients}
}

func (r Recovery) text() secret.Value {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Snapshot repositories of the stack %s. Read one without Salvor, with its remote set up in rclone:\n", r.Stack)
	fmt.Fprintf(&b, "#   restic -r rclone:LOCATION snapshots        (it asks for the password)\n")
	fmt.Fprintf(&b, "schema: %s\nstack: %s\n", recoverySchema, r.Stack)
	for _, repo := range r.Repositories {
		fmt.Fprintf(&b, "\nrepository: %s\ntarget: %s\nlocation: %s\npassword: %s\n", repo.ID, repo.Target, repo.Location, repo.Password.Reveal())
	}
	return secret.New(b.Bytes())
}

func (r Recovery) check() error {
	if err := checkField("stack", r.Stack); err != nil {
		return err
	}
	for _, repo := range r.Repositories {
		err := errors.Join(
			checkField("repository", repo.ID),
			checkField("target", repo.Target),
			checkField("location", repo.Location),
			checkField("password", string(repo.Password.Reveal())))
		if err != nil {
			return fmt.Errorf("%s: %w", RecoveryPath(r.Stack), err)
		}
	}
	return nil
}

// checkField keeps every value on its one line, as it is.
func checkField(key, value string) error {
	if value == "" || value != strings.TrimSpace(value) || strings.ContainsAny(value, "\r\n") {
		return fmt.Errorf("%s is empty or more than one line", key)
	}
	return nil
}
