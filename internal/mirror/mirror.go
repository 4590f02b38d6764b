// Package mirror keeps the copies of the repository that bring a fleet back when its Git host
// is gone: the encrypted mirror on the record remote, and the card that leads to it.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/checkout"
	"salvor/internal/confirmation"
	"salvor/internal/finding"
	"salvor/internal/fleetkeys"
	"salvor/internal/githost"
	"salvor/internal/identity"
	"salvor/internal/needs"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/recording"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// ErrBehind is wrapped by errors that mean: the encrypted mirror of the
// repository lacks the newest commit.
var ErrBehind = errors.New("the repository's mirror on the record remote is older than this commit; the next salvor apply updates it")

// Copies are the copies of a checkout's repository that bring a fleet back: the mirror on the
// record remote, and the card that leads to it.
type Copies struct {
	checkout  *checkout.Checkout
	identity  *identity.Identity
	needs     *needs.Needs
	confirmed *confirmation.Confirmed
	keys      *fleetkeys.Keys
	record    *recording.Recorder
	gitHost   *githost.Host
	sink      progress.Sink
}

// New returns those of a checkout.
func New(c *checkout.Checkout, id *identity.Identity, n *needs.Needs, confirmed *confirmation.Confirmed, k *fleetkeys.Keys, r *recording.Recorder, g *githost.Host, sink progress.Sink) *Copies {
	return &Copies{checkout: c, identity: id, needs: n, confirmed: confirmed, keys: k, record: r, gitHost: g, sink: sink}
}

// Mirror implements deploy.Record. A mirror of the newest commit that is there
// already is left alone.
func (c *Copies) Mirror(ctx context.Context) error {
	count, err := c.checkout.Git.Count(ctx, c.checkout.Commit)
	if err != nil {
		return err
	}
	want := record.Mirror{Commits: count, Commit: string(c.checkout.Commit)}
	trusted, err := c.confirmed.Trusted()
	if err != nil {
		return err
	}
	err = c.record.With(ctx, func(rec *record.Record) error {
		all, unread, err := rec.Mirrors(ctx, trusted)
		c.notePassedOver(unread)
		if err != nil || len(all) > 0 && all[0] == want {
			return err
		}
		bundle, err := c.checkout.Git.Bundle(ctx)
		if err != nil {
			return fmt.Errorf("bundle the repository: %w", err)
		}
		recipients, err := c.confirmed.Recipients(ctx)
		if err != nil {
			return err
		}
		sealed, err := agekey.Encrypt(secret.New(bundle), recipients...)
		if err != nil {
			return err
		}
		key, err := c.keys.SigningKey(ctx)
		if err != nil {
			return err
		}
		return rec.PutMirror(ctx, want, sealed, key, trusted)
	})
	if err != nil {
		return err
	}
	return c.noteMirrored()
}

// notePassedOver reports files that only look like mirrors.
func (c *Copies) notePassedOver(unread []record.Unread) {
	if c.sink == nil {
		return
	}
	for _, u := range unread {
		f := u.Finding(finding.MirrorUntrusted)
		progress.Scope{Sink: c.sink}.Note(fmt.Sprintf("%s: %s; %s", f.Severity, f, f.Fix))
	}
}

// Open returns the newest mirror that the fleet's key has signed and that a
// keyring opens, with its bundle; none is the zero Mirror. Ignored files are not
// read.
func Open(ctx context.Context, rec *record.Record, trusted sign.Keys, ring agekey.Keyring) (m record.Mirror, bundle secret.Value, unread []record.Unread, err error) {
	all, unread, err := rec.Mirrors(ctx, trusted)
	if err != nil {
		return m, bundle, unread, err
	}
	for _, m := range all {
		sealed, err := rec.ReadMirror(ctx, m, trusted)
		if err == nil {
			bundle, err = agekey.Decrypt(m.Path(), sealed, ring)
		}
		if err == nil {
			return m, bundle, unread, nil
		}
		unread = append(unread, record.Unread{Path: m.Path(), Err: err})
	}
	if len(unread) > 0 {
		var errs []error
		for _, u := range unread {
			errs = append(errs, fmt.Errorf("%s: %w", u.Path, u.Err))
		}
		return m, bundle, unread, fmt.Errorf("there is no readable mirror that is signed with the fleet's key: %w", errors.Join(errs...))
	}
	return m, bundle, nil, nil
}

// Newest is Open for the fleet's own record, with findings about the files that only
// look like mirrors.
func (c *Copies) Newest(ctx context.Context) (m record.Mirror, found []finding.Finding, err error) {
	trusted, err := c.confirmed.Trusted()
	if err != nil {
		return m, nil, err
	}
	err = c.record.With(ctx, func(rec *record.Record) (err error) {
		var unread []record.Unread
		m, _, unread, err = Open(ctx, rec, trusted, c.identity.Ring)
		for _, u := range unread {
			found = append(found, u.Finding(finding.MirrorUntrusted))
		}
		return err
	})
	return m, found, err
}

// Renew brings the mirror up to the newest commit. This clone remembers the
// last one that it saw there, so nothing is asked where nothing was committed. A
// fleet that has placed nothing has no mirror yet.
func (c *Copies) Renew(ctx context.Context) error {
	behind, err := c.behind()
	if err != nil || !behind {
		return err
	}
	if err := c.Mirror(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	return nil
}

// RenewCommitted is Renew for the end of a command: only what the command itself
// has pushed is looked at. That needs the operator's key, which signs: if it is not
// unlocked, only the error says that the mirror is behind, unless unlock.
func (c *Copies) RenewCommitted(ctx context.Context, unlock bool) error {
	if !c.checkout.Pushed() {
		return nil
	}
	if head, err := c.checkout.Git.Head(ctx); err != nil || head != c.checkout.Commit {
		return err // a later commit is mirrored by the opening that made it
	}
	behind, err := c.behind()
	switch {
	case err != nil || !behind:
		return err
	case !unlock && !c.identity.Unlocked():
		return ErrBehind
	}
	if _, err := c.keys.KnownSigningKey(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	return c.Renew(ctx)
}

func (c *Copies) behind() (bool, error) {
	if c.checkout.Fleet.Record.Remote == "" || len(c.checkout.Lock.Stacks) == 0 {
		return false, nil
	}
	file, err := c.checkout.Git.OwnFile(mirroredFile)
	if err != nil {
		return false, err
	}
	noted, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return strings.TrimSpace(string(noted)) != c.mirrored(), err
}

// mirroredFile is this clone's note of what the mirror was last seen to hold.
const mirroredFile = "mirrored"

// mirrored is what a mirror of the newest commit is noted as.
func (c *Copies) mirrored() string {
	return c.checkout.Fleet.Record.Remote + ":" + c.checkout.Fleet.Record.Path + " " + string(c.checkout.Commit)
}

func (c *Copies) noteMirrored() error {
	file, err := c.checkout.Git.OwnFile(mirroredFile)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(c.mirrored()+"\n"), 0o600)
}
