package record

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	mirrorDir    = "mirror"
	mirrorSuffix = ".bundle.age"
	mirrorsKept  = 3
)

// maxMirror bounds what is read of one mirror: a repository of text files.
const maxMirror = 1 << 30

// A Mirror is a copy of the control repository on the record remote: a Git
// bundle of the branch, encrypted with age to the operators and the recovery key.
type Mirror struct {
	Commits int    // in the branch's history, which orders mirrors
	Commit  string // the branch's newest, in full
}

func (m Mirror) path() string {
	return path.Join(mirrorDir, fmt.Sprintf("%08d-%s%s", m.Commits, m.Commit, mirrorSuffix))
}

// Mirrors lists the mirrors, newest first. Files of other names are left alone.
func (r *Record) Mirrors(ctx context.Context) ([]Mirror, error) {
	files, err := r.store.List(ctx, mirrorDir)
	if err != nil {
		return nil, err
	}
	var all []Mirror
	for _, f := range files {
		name, isMirror := strings.CutSuffix(f.Path, mirrorSuffix)
		count, commit, _ := strings.Cut(name, "-")
		if n, err := strconv.Atoi(count); isMirror && err == nil && n > 0 && commit != "" {
			all = append(all, Mirror{n, commit})
		}
	}
	slices.SortFunc(all, func(a, b Mirror) int {
		return cmp.Or(cmp.Compare(b.Commits, a.Commits), strings.Compare(a.Commit, b.Commit))
	})
	return all, nil
}

// PutMirror stores a mirror's encrypted content, then removes all but the newest
// three. It may be called twice.
func (r *Record) PutMirror(ctx context.Context, m Mirror, content []byte) error {
	if _, err := r.store.Put(ctx, m.path(), bytes.NewReader(content), int64(len(content))); err != nil {
		return err
	}
	if err := r.here(ctx); err != nil {
		return err
	}
	all, err := r.Mirrors(ctx)
	if err != nil {
		return err
	}
	for i, old := range all {
		if i >= mirrorsKept && old != m {
			err = errors.Join(err, r.store.Delete(ctx, old.path()))
		}
	}
	return err
}

// ReadMirror returns a mirror's encrypted content.
func (r *Record) ReadMirror(ctx context.Context, m Mirror) ([]byte, error) {
	return whole(ctx, r.store, m.path())
}
