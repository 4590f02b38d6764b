package record

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"salvor/internal/fleet"
)

// A Fact is something a host found out and can't commit itself. Epoch, Seq and Host
// are in its file's name, so that two hosts never write the same file.
type Fact struct {
	Epoch  int
	Seq    int // counts up within an epoch and host
	Host   string
	Commit string // the commit that the host was executing
	At     time.Time
	Images map[string]string    // service to image reference with digest, as deployed
	Born   map[string]time.Time // volume to when it first started
	Wish   string               // id of the fleet.Restore that was fulfilled, "" for none
}

type factFile struct {
	Schema int                  `json:"schema"`
	Host   string               `json:"host"`
	Commit string               `json:"commit"`
	At     time.Time            `json:"at"`
	Images map[string]string    `json:"images,omitempty"`
	Born   map[string]time.Time `json:"born,omitempty"`
	Wish   string               `json:"wish,omitempty"`
}

func parseFact(data []byte) (factFile, error) {
	var f factFile
	if err := decode(data, &f); err != nil {
		return factFile{}, err
	}
	if f.Host == "" {
		return factFile{}, errors.New("no host")
	}
	return f, nil
}

// parseFactName reads `<epoch>-<seq>-<host>.json`.
func parseFactName(name string) (f Fact, ok bool) {
	stem, isJSON := strings.CutSuffix(name, ".json")
	fields := strings.SplitN(stem, "-", 3)
	if !isJSON || len(fields) != 3 {
		return Fact{}, false
	}
	epoch, epochErr := strconv.Atoi(fields[0])
	seq, seqErr := strconv.Atoi(fields[1])
	f = Fact{Epoch: epoch, Seq: seq, Host: fields[2]}
	ok = epochErr == nil && seqErr == nil && epoch > 0 && seq > 0 && epoch <= fleet.MaxEpoch && seq < maxSeq && fleet.ValidName(f.Host) == nil && factName(f) == name
	return f, ok
}

// maxSeq is far more facts than any host has, and far from where counting on goes wrong.
const maxSeq = 1_000_000_000

func factName(f Fact) string { return fmt.Sprintf("%d-%d-%s.json", f.Epoch, f.Seq, f.Host) }

func factsDir(stack string) string { return "facts/" + stack }

// AppendFact writes a fact under the next sequence number of its epoch and host,
// which it returns. A host writes its facts of one stack one after another.
func (r *Record) AppendFact(ctx context.Context, stack string, fact Fact) (seq int, err error) {
	if fact.Epoch < 1 || fleet.ValidName(fact.Host) != nil {
		return 0, fmt.Errorf("append fact of %s: epoch %d of host %q is not valid", stack, fact.Epoch, fact.Host)
	}
	names, err := r.factNames(ctx, stack)
	if err != nil {
		return 0, fmt.Errorf("append fact of %s: %w", stack, err)
	}
	fact.Seq = 1
	for _, n := range names {
		if n.Epoch == fact.Epoch && n.Host == fact.Host {
			fact.Seq = max(fact.Seq, n.Seq+1)
		}
	}
	file := factFile{Schema: fleet.Schema, Host: fact.Host, Commit: fact.Commit, At: fact.At.UTC(), Images: fact.Images, Born: fact.Born, Wish: fact.Wish}
	return fact.Seq, r.writeNote(ctx, FactKind, factsDir(stack)+"/"+factName(fact), file)
}

// Facts returns the facts of a stack at an epoch by host and sequence, as far as a host
// that had the stack then has signed them; the rest is ignored. A signed one that can't
// be read is an error that names it, because a missing one may be a birth, and a volume
// without one could start empty.
func (r *Record) Facts(ctx context.Context, stack string, epoch int) (facts []Fact, ignored []Ignored, err error) {
	names, err := r.factNames(ctx, stack)
	if err != nil {
		return nil, nil, err
	}
	notes := r.notes(stack)
	for _, f := range names {
		if f.Epoch != epoch {
			continue
		}
		path := factsDir(stack) + "/" + factName(f)
		content, passed, err := notes.open(ctx, FactKind, path, epoch)
		if err != nil {
			return nil, nil, err
		}
		if passed != nil {
			ignored = append(ignored, *passed)
			continue
		}
		file, err := parseFact(content)
		if err == nil && file.Host != f.Host {
			err = fmt.Errorf("written by %q", file.Host)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", path, err)
		}
		f.Commit, f.At, f.Images, f.Born, f.Wish = file.Commit, file.At, file.Images, file.Born, file.Wish
		facts = append(facts, f)
	}
	return facts, ignored, nil
}

func (r *Record) factNames(ctx context.Context, stack string) ([]Fact, error) {
	files, err := r.store.List(ctx, factsDir(stack))
	if err != nil {
		return nil, err
	}
	var names []Fact
	for _, file := range files {
		if f, ok := parseFactName(file.Path); ok {
			names = append(names, f)
		}
	}
	slices.SortFunc(names, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Seq, b.Seq))
	})
	return names, nil
}
