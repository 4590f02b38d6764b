package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"salvor/internal/atomicfile"
	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// ErrMirrorBehind is wrapped by errors that mean: the encrypted mirror of the
// repository lacks the newest commit.
var ErrMirrorBehind = errors.New("the repository's mirror on the record remote is older than this commit; the next salvor apply renews it")

// Mirror implements deploy.Record. A mirror of the newest commit that is there
// already is left alone.
func (r *recorder) Mirror(ctx context.Context) error {
	a := r.app
	count, err := a.git.Count(ctx, a.commit)
	if err != nil {
		return err
	}
	want := record.Mirror{Commits: count, Commit: string(a.commit)}
	err = r.with(ctx, func(rec *record.Record) error {
		all, err := rec.Mirrors(ctx)
		if err != nil || len(all) > 0 && all[0] == want {
			return err
		}
		bundle, err := a.git.Bundle(ctx)
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
		return rec.PutMirror(ctx, want, sealed)
	})
	if err != nil {
		return err
	}
	return a.noteMirrored(ctx)
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
// itself has pushed is looked at. Where that needs the operator's key and nobody
// has unlocked it, only the error says that the mirror is behind, unless unlock.
func (a *App) MirrorCommitted(ctx context.Context, unlock bool) error {
	if !a.pushed {
		return nil
	}
	behind, err := a.mirrorBehind(ctx)
	switch {
	case err != nil || !behind:
		return err
	case !unlock && !a.unlocked() && a.recordNeedsKey():
		return ErrMirrorBehind
	}
	return a.RenewMirror(ctx)
}

func (a *App) recordNeedsKey() bool {
	for _, r := range withInner(&a.repo.Fleet, []string{a.repo.Fleet.Record.Remote}) {
		for _, setting := range r.Options {
			if _, is := setting.Secret(); is {
				return true
			}
		}
	}
	return false
}

func (a *App) mirrorBehind(ctx context.Context) (bool, error) {
	if a.repo.Fleet.Record.Remote == "" || len(a.repo.Lock.Stacks) == 0 {
		return false, nil
	}
	file, err := a.git.OwnFile(ctx, mirroredFile)
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
	return a.repo.Fleet.Record.Remote + ":" + a.repo.Fleet.Record.Path + " " + string(a.commit)
}

func (a *App) noteMirrored(ctx context.Context) error {
	file, err := a.git.OwnFile(ctx, mirroredFile)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, strings.NewReader(a.mirrored()+"\n"), 0o600)
}
