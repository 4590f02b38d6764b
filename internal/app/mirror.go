package app

import (
	"context"
	"fmt"

	"salvor/internal/record"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// Mirror implements deploy.Record. A mirror of the newest commit that is there
// already is left alone.
func (r *recorder) Mirror(ctx context.Context) error {
	a := r.app
	count, err := a.git.Count(ctx, a.commit)
	if err != nil {
		return err
	}
	want := record.Mirror{Commits: count, Commit: string(a.commit)}
	return r.with(ctx, func(rec *record.Record) error {
		all, err := rec.Mirrors(ctx)
		if err != nil || len(all) > 0 && all[0] == want {
			return err
		}
		bundle, err := a.git.Bundle(ctx)
		if err != nil {
			return fmt.Errorf("bundle the repository: %w", err)
		}
		sealed, err := agekey.Encrypt(secret.New(bundle), a.repo.Fleet.Recipients.All()...)
		if err != nil {
			return err
		}
		return rec.PutMirror(ctx, want, sealed)
	})
}
