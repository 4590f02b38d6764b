package record

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"salvor/internal/blob"
	"salvor/internal/fleet"
	"salvor/internal/sign"
)

const (
	mirrorDir       = "mirror"
	mirrorSuffix    = ".bundle.age"
	statementSuffix = ".bundle.json"
	mirrorsKept     = 3
)

// maxMirror bounds what is read of one mirror: a repository of text files.
const maxMirror = 1 << 30

// MirrorKind is what the fleet's key signs mirrors as.
const MirrorKind sign.Kind = "salvor-mirror"

// A Mirror is a copy of the control repository on the record remote: a Git
// bundle of the branch, encrypted with age to the operators and the recovery key.
// A statement that the fleet's key has signed says what it is; without one there is
// no mirror.
type Mirror struct {
	Commits int    // in the branch's history, which orders mirrors
	Commit  string // the branch's newest, in full
}

func (m Mirror) name() string { return fmt.Sprintf("%08d-%s", m.Commits, m.Commit) }

// Path returns where the mirror is in the record.
func (m Mirror) Path() string      { return path.Join(mirrorDir, m.name()+mirrorSuffix) }
func (m Mirror) statement() string { return path.Join(mirrorDir, m.name()+statementSuffix) }

// newestFirst orders mirrors.
func newestFirst(a, b Mirror) int {
	return cmp.Or(cmp.Compare(b.Commits, a.Commits), strings.Compare(a.Commit, b.Commit))
}

// A statement is what the fleet's key signs of a mirror. It is small, so that the
// mirrors that count are known without reading any.
type statement struct {
	Schema  int    `json:"schema"`
	Commits int    `json:"commits"`
	Commit  string `json:"commit"`
	Size    int64  `json:"size"`   // of the encrypted bundle
	Digest  string `json:"digest"` // of the encrypted bundle: "sha256:…"
}

func digestOf(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Mirrors returns the mirrors that one of the fleet's keys has signed, newest first,
// and the files by their side that look like a mirror and do not count. Files of
// other names are left alone.
func (r *Record) Mirrors(ctx context.Context, trusted sign.Keys) (good []Mirror, unread []Unread, err error) {
	all, err := r.mirrorFiles(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, f := range all {
		if !f.bundle {
			continue // the signature comes first
		}
		s, err := r.stated(ctx, f.Mirror, trusted)
		if err == nil && s.Size != f.size {
			err = fmt.Errorf("it has %d bytes, but the signed version had %d: %w", f.size, s.Size, sign.ErrUntrusted)
		}
		switch {
		case err == nil:
			good = append(good, f.Mirror)
		case errors.Is(err, sign.ErrUntrusted), errors.Is(err, blob.ErrNotExist):
			unread = append(unread, Unread{f.Path(), err})
		default:
			return nil, nil, err
		}
	}
	return good, unread, nil
}

// mirrorFile is what there is of a mirror, or of what looks like one.
type mirrorFile struct {
	Mirror
	bundle bool
	size   int64
}

func (r *Record) mirrorFiles(ctx context.Context) ([]mirrorFile, error) {
	files, err := r.store.List(ctx, mirrorDir)
	if err != nil {
		return nil, err
	}
	found := map[Mirror]mirrorFile{}
	for _, f := range files {
		name, isBundle := strings.CutSuffix(f.Path, mirrorSuffix)
		name, isStatement := strings.CutSuffix(name, statementSuffix)
		count, commit, _ := strings.Cut(name, "-")
		n, err := strconv.Atoi(count)
		m := Mirror{n, commit}
		if !isBundle && !isStatement || err != nil || n <= 0 || m.name() != name {
			continue
		}
		known := found[m]
		known.Mirror = m
		if isBundle {
			known.bundle, known.size = true, f.Size
		}
		found[m] = known
	}
	all := make([]mirrorFile, 0, len(found))
	for _, f := range found {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b mirrorFile) int { return newestFirst(a.Mirror, b.Mirror) })
	return all, nil
}

// stated returns what the fleet's key has signed of a mirror.
func (r *Record) stated(ctx context.Context, m Mirror, trusted sign.Keys) (statement, error) {
	var s statement
	data, err := r.read(ctx, m.statement())
	if errors.Is(err, blob.ErrNotExist) {
		return s, fmt.Errorf("it has no signature: %w", err)
	}
	if err != nil {
		return s, err
	}
	content, _, err := trusted.Open(MirrorKind, m.statement(), data)
	if err != nil {
		return s, err
	}
	if err := decode(content, &s); err != nil {
		return s, fmt.Errorf("%s: %w: %w", m.statement(), err, sign.ErrUntrusted)
	}
	if s.Commits != m.Commits || s.Commit != m.Commit {
		return s, fmt.Errorf("%s belongs to another mirror: %w", m.statement(), sign.ErrUntrusted)
	}
	return s, nil
}

// PutMirror stores a mirror's encrypted content behind its signed statement, then
// removes what is older than the newest three that are signed. What only looks like a
// mirror counts for none of them. It may be called twice.
func (r *Record) PutMirror(ctx context.Context, m Mirror, content []byte, key sign.Key, trusted sign.Keys) error {
	said, err := json.Marshal(statement{fleet.Schema, m.Commits, m.Commit, int64(len(content)), digestOf(content)})
	if err != nil {
		return err
	}
	signed, err := key.Enclose(MirrorKind, m.statement(), said)
	if err != nil {
		return err
	}
	if err := r.putRaw(ctx, m.statement(), append(signed, '\n')); err != nil {
		return err
	}
	if _, err := r.store.Put(ctx, m.Path(), bytes.NewReader(content), int64(len(content))); err != nil {
		return err
	}
	if err := r.checkNotMoved(ctx); err != nil {
		return err
	}
	return r.thinMirrors(ctx, m, trusted)
}

// thinMirrors removes all mirrors, and what looks like one, that are older than the
// newest three.
func (r *Record) thinMirrors(ctx context.Context, put Mirror, trusted sign.Keys) error {
	good, _, err := r.Mirrors(ctx, trusted)
	if err != nil || len(good) < mirrorsKept {
		return err
	}
	all, err := r.mirrorFiles(ctx)
	for _, old := range all {
		if old.Mirror == put || newestFirst(old.Mirror, good[mirrorsKept-1]) <= 0 {
			continue
		}
		for _, file := range []string{old.Path(), old.statement()} {
			if failed := r.store.Delete(ctx, file); !errors.Is(failed, blob.ErrNotExist) {
				err = errors.Join(err, failed)
			}
		}
	}
	return err
}

// ReadMirror returns a mirror's encrypted content, if it is what one of the fleet's
// keys has signed; else the error wraps sign.ErrUntrusted.
func (r *Record) ReadMirror(ctx context.Context, m Mirror, trusted sign.Keys) ([]byte, error) {
	s, err := r.stated(ctx, m, trusted)
	if err != nil {
		return nil, err
	}
	content, err := readAll(ctx, r.store, m.Path())
	if err == nil && digestOf(content) != s.Digest {
		err = fmt.Errorf("%s is not what was signed: %w", m.Path(), sign.ErrUntrusted)
	}
	return content, err
}
