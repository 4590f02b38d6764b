package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"salvor/internal/blob"
	"salvor/internal/fleet"
)

// Proven says that a snapshot was read back from its repository. Its numbers and where it is are in
// its file's name, for which the host has signed it. Key and Config are copies of the two files that
// open the repository, encrypted as they are there.
type Proven struct {
	Epoch      int
	Seq        int
	Repository string
	Snapshot   string // full id
	At         time.Time
	Bytes      int64    // of its files, 0 where that is not known
	Known      []string // all snapshots of the repository that were believed then
	Key        []byte
	Config     []byte
}

type provenFile struct {
	Schema int       `json:"schema"`
	At     time.Time `json:"at"`
	Bytes  int64     `json:"bytes,omitempty"`
	Known  []string  `json:"known,omitempty"`
	Key    []byte    `json:"key,omitempty"`
	Config []byte    `json:"config,omitempty"`
}

var provenPattern = regexp.MustCompile(`^([1-9][0-9]*)-([1-9][0-9]*)-([0-9a-z]+)-([0-9a-f]{64})\.json$`)

func provenDir(stack string) string { return "proven/" + stack }

func (p Proven) name() string {
	return fmt.Sprintf("%d-%d-%s-%s.json", p.Epoch, p.Seq, p.Repository, p.Snapshot)
}

func parseProvenName(name string) (Proven, bool) {
	m := provenPattern.FindStringSubmatch(name)
	if m == nil {
		return Proven{}, false
	}
	epoch, epochErr := strconv.Atoi(m[1])
	seq, seqErr := strconv.Atoi(m[2])
	return Proven{Epoch: epoch, Seq: seq, Repository: m[3], Snapshot: m[4]}, epochErr == nil && seqErr == nil && epoch <= fleet.MaxEpoch
}

// Prove writes down a stack's newest proven snapshot in a repository, waits until a listing
// shows that, and then removes what was said of that repository before, where it may: a record
// that lists late says what it said before, never nothing. The caller holds the claim at the
// snapshot's epoch. It may be called again.
func (r *Record) Prove(ctx context.Context, stack string, p Proven) error {
	if _, ok := parseProvenName(p.name()); !ok {
		return fmt.Errorf("%s is not the name of a proven snapshot", p.name())
	}
	file := provenFile{Schema: fleet.Schema, At: p.At.UTC(), Bytes: p.Bytes, Known: p.Known, Key: p.Key, Config: p.Config}
	if err := r.writeNote(ctx, ProvenKind, provenDir(stack)+"/"+p.name(), file); err != nil {
		return err
	}
	all, err := r.awaitProven(ctx, stack, p)
	if err != nil {
		return err
	}
	return r.dropOlder(ctx, stack, all, p)
}

// awaitProven returns what a listing says of a stack once p is in it.
func (r *Record) awaitProven(ctx context.Context, stack string, p Proven) ([]Proven, error) {
	late := fmt.Errorf("%s/%s is written, but the record remote does not list it", provenDir(stack), p.name())
	ctx, cancel := context.WithTimeoutCause(ctx, visibleWithin, late)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		all, err := r.provenNames(ctx, stack)
		if err != nil {
			return nil, cmp.Or(context.Cause(ctx), err)
		}
		if slices.ContainsFunc(all, func(listed Proven) bool { return listed.name() == p.name() }) {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// DropProven removes what was said of older snapshots than the newest that was proven at
// up to an epoch, where hosts may not.
func (r *Record) DropProven(ctx context.Context, stack string, epoch int) error {
	newest, _, err := r.Proven(ctx, stack, epoch)
	if err != nil || len(newest) == 0 {
		return err
	}
	all, err := r.provenNames(ctx, stack)
	for _, p := range newest {
		err = errors.Join(err, r.dropOlder(ctx, stack, all, p))
	}
	return err
}

// dropOlder removes those of all that are older than p in its repository.
func (r *Record) dropOlder(ctx context.Context, stack string, all []Proven, p Proven) error {
	for _, old := range all {
		if old.Repository != p.Repository || compareProven(old, p) >= 0 {
			continue
		}
		if err := r.store.Delete(ctx, provenDir(stack)+"/"+old.name()); err != nil && !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrAppendOnly) {
			return err
		}
	}
	return nil
}

// Proven returns the newest proven snapshot of each of a stack's repositories, oldest
// first. What says an epoch above the placement's does not count, and so does what no
// host signed that had the stack at its epoch: that is ignored. A note that was listed and is
// gone when it is read has a newer one, so it is listed again: its repository is never left out.
func (r *Record) Proven(ctx context.Context, stack string, epoch int) (found []Proven, ignored []Ignored, err error) {
	gone := fmt.Errorf("%s: the record remote lists a note that it does not have", provenDir(stack))
	ctx, cancel := context.WithTimeoutCause(ctx, visibleWithin, gone)
	defer cancel()
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		found, ignored, err = r.provenNow(ctx, stack, epoch)
		if !errors.Is(err, errReplaced) {
			return found, ignored, err
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// errReplaced means that the only note of a repository was removed after it was listed.
var errReplaced = errors.New("the note was replaced")

// provenNow is one look of Proven, or errReplaced.
func (r *Record) provenNow(ctx context.Context, stack string, epoch int) (found []Proven, ignored []Ignored, err error) {
	all, err := r.provenNames(ctx, stack)
	if err != nil {
		return nil, nil, err
	}
	notes, known, replaced := r.notes(stack), map[string]bool{}, map[string]bool{}
	for _, p := range slices.Backward(all) {
		if p.Epoch > epoch || known[p.Repository] {
			continue
		}
		passed, err := notes.readProven(ctx, stack, &p)
		switch {
		case errors.Is(err, blob.ErrNotExist):
			replaced[p.Repository] = true
		case err != nil:
			return nil, nil, err
		case passed != nil:
			ignored = append(ignored, *passed)
		default:
			found, known[p.Repository] = append(found, p), true
		}
	}
	for repository := range replaced {
		if !known[repository] {
			return nil, nil, errReplaced
		}
	}
	slices.Reverse(found)
	return found, ignored, nil
}

// readProven reads what the note of p's name says into p, or returns why it does not count.
func (n *notes) readProven(ctx context.Context, stack string, p *Proven) (*Ignored, error) {
	path := provenDir(stack) + "/" + p.name()
	content, passed, err := n.open(ctx, ProvenKind, path, p.Epoch)
	if err != nil || passed != nil {
		return passed, err
	}
	var file provenFile
	if err := decode(content, &file); err != nil {
		return &Ignored{Path: path, Why: fmt.Sprintf("%s: %v", path, err)}, nil
	}
	p.At, p.Bytes, p.Known, p.Key, p.Config = file.At, max(0, file.Bytes), file.Known, file.Key, file.Config
	return nil, nil
}

func (r *Record) provenNames(ctx context.Context, stack string) ([]Proven, error) {
	files, err := r.store.List(ctx, provenDir(stack))
	if err != nil {
		return nil, err
	}
	var names []Proven
	for _, file := range files {
		if p, ok := parseProvenName(file.Path); ok {
			names = append(names, p)
		}
	}
	slices.SortFunc(names, compareProven)
	return names, nil
}

func compareProven(a, b Proven) int {
	return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Seq, b.Seq))
}
