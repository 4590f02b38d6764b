package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/finding"
	"salvor/internal/progress"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
)

// ErrMirrorBehind is wrapped by errors that mean: the encrypted mirror of the
// repository lacks the newest commit.
var ErrMirrorBehind = errors.New("the repository's mirror on the record remote is older than this commit; the next salvor apply renews it")

// Mirror implements deploy.Record. A mirror of the newest commit that is there
// already is left alone.
func (r *recorder) Mirror(ctx context.Context) error {
	a := r.app
	count, err := a.Checkout.Git.Count(ctx, a.Checkout.Commit)
	if err != nil {
		return err
	}
	want := record.Mirror{Commits: count, Commit: string(a.Checkout.Commit)}
	trusted, err := a.Trusted(ctx)
	if err != nil {
		return err
	}
	err = r.with(ctx, func(rec *record.Record) error {
		all, unread, err := rec.Mirrors(ctx, trusted)
		a.notePassedOver(unread)
		if err != nil || len(all) > 0 && all[0] == want {
			return err
		}
		bundle, err := a.Checkout.Git.Bundle(ctx)
		if err != nil {
			return fmt.Errorf("bundle the repository: %w", err)
		}
		recipients, err := a.confirmedRecipients(ctx)
		if err != nil {
			return err
		}
		sealed, err := agekey.Encrypt(secret.New(bundle), recipients...)
		if err != nil {
			return err
		}
		key, err := a.SigningKey(ctx)
		if err != nil {
			return err
		}
		return rec.PutMirror(ctx, want, sealed, key, trusted)
	})
	if err != nil {
		return err
	}
	return a.noteMirrored(ctx)
}

// notePassedOver tells the operator of files that only look like mirrors.
func (a *App) notePassedOver(unread []record.Unread) {
	if a.opts.Sink == nil {
		return
	}
	for _, u := range unread {
		f := untrusted(finding.MirrorUntrusted, u)
		progress.Scope{Sink: a.opts.Sink}.Note(fmt.Sprintf("%s: %s; %s", f.Severity, f, f.Fix))
	}
}

// openMirror returns the newest mirror that the fleet's key has signed and that a
// keyring opens, with its bundle; none is the zero Mirror. What is passed over is
// unread.
func openMirror(ctx context.Context, rec *record.Record, trusted sign.Keys, ring agekey.Keyring) (m record.Mirror, bundle secret.Value, unread []record.Unread, err error) {
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
		return m, bundle, unread, fmt.Errorf("no mirror opens that the fleet's key has signed: %w", errors.Join(errs...))
	}
	return m, bundle, nil, nil
}

// RenewMirror brings the mirror up to the newest commit. This clone remembers the
// last one that it saw there, so nothing is asked where nothing was committed. A
// fleet that has placed nothing has no mirror yet.
func (a *App) RenewMirror(ctx context.Context) error {
	behind, err := a.mirrorBehind(ctx)
	if err != nil || !behind {
		return err
	}
	if err := (&recorder{app: a}).Mirror(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrMirrorBehind, err)
	}
	return nil
}

// MirrorCommitted is RenewMirror for the end of a command: only what the command
// itself has pushed is looked at. That needs the operator's key, which signs: where
// nobody has unlocked it, only the error says that the mirror is behind, unless unlock.
func (a *App) MirrorCommitted(ctx context.Context, unlock bool) error {
	if !a.Checkout.Pushed() {
		return nil
	}
	if head, err := a.Checkout.Git.Head(ctx); err != nil || head != a.Checkout.Commit {
		return err // a later commit is mirrored by the opening that made it
	}
	behind, err := a.mirrorBehind(ctx)
	switch {
	case err != nil || !behind:
		return err
	case !unlock && !a.Identity.Unlocked():
		return ErrMirrorBehind
	}
	if _, err := a.knownSigningKey(ctx); err != nil {
		return fmt.Errorf("%w: %w", ErrMirrorBehind, err)
	}
	return a.RenewMirror(ctx)
}

func (a *App) mirrorBehind(ctx context.Context) (bool, error) {
	if a.Checkout.Fleet.Record.Remote == "" || len(a.Checkout.Lock.Stacks) == 0 {
		return false, nil
	}
	file, err := a.Checkout.Git.OwnFile(ctx, mirroredFile)
	if err != nil {
		return false, err
	}
	noted, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return strings.TrimSpace(string(noted)) != a.mirrored(), err
}

// mirroredFile is this clone's note of what the mirror was last seen to hold.
const mirroredFile = "mirrored"

// mirrored is what a mirror of the newest commit is noted as.
func (a *App) mirrored() string {
	return a.Checkout.Fleet.Record.Remote + ":" + a.Checkout.Fleet.Record.Path + " " + string(a.Checkout.Commit)
}

func (a *App) noteMirrored(ctx context.Context) error {
	file, err := a.Checkout.Git.OwnFile(ctx, mirroredFile)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(a.mirrored()+"\n"), 0o600)
}
