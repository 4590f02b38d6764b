package record

import (
	"context"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"salvor/internal/sign"
)

// A View reads the claims of many stacks with one listing. It remembers the claims
// that counted, so that a look at which nothing is new reads none of them again. What
// does not count is read again in every look. One Look runs at a time.
type View struct {
	r     *Record
	keys  string // by which the claims were checked
	known map[string]viewed
}

// viewed is a claim that counted, and the size of its file then.
type viewed struct {
	claim Claim
	size  int64
}

// View returns a view of the record's claims that knows none yet.
func (r *Record) View() *View { return &View{r: r} }

// Of returns the same view of a record that was opened again.
func (v *View) Of(r *Record) *View { return &View{r: r, keys: v.keys, known: v.known} }

// Claimed is what the record has of one stack, as Claims returns it.
type Claimed struct {
	Read    bool // else nothing is known
	Claims  []Claim
	Ignored []Ignored
}

// readAtOnce is how many stacks' claims are read at a time.
const readAtOnce = 4

// Look returns what the record has of each of these stacks. The error says why
// nothing is known of any of them.
func (v *View) Look(ctx context.Context, stacks ...string) (map[string]Claimed, error) {
	files, err := v.r.store.List(ctx, "claims")
	if err != nil {
		return nil, err
	}
	l := look{v: v, names: map[string][]Claim{}, sizes: map[string]int64{}, known: map[string]viewed{}}
	for _, f := range files {
		stack, name, _ := strings.Cut(f.Path, "/")
		if epoch, id, ok := parseClaimName(name); ok && slices.Contains(stacks, stack) {
			l.names[stack] = append(l.names[stack], Claim{Epoch: epoch, ID: id})
			l.sizes[f.Path] = f.Size
		}
	}
	if len(l.names) > 0 {
		if l.keys, err = v.r.trust.keys(); err != nil {
			return nil, err
		}
	}
	if by := strings.Join(l.keys.Fingerprints(), " "); by != v.keys {
		v.keys, v.known = by, nil
	}
	all := make([]Claimed, len(stacks))
	var group errgroup.Group
	group.SetLimit(readAtOnce)
	for i, stack := range stacks {
		group.Go(func() error {
			all[i] = l.read(ctx, stack)
			return nil
		})
	}
	_ = group.Wait() // a stack whose claims can't be read is not Read
	v.known = l.known
	byStack := map[string]Claimed{}
	for i, stack := range stacks {
		byStack[stack] = all[i]
	}
	return byStack, nil
}

// A look is one Look under way.
type look struct {
	v     *View
	keys  sign.Keys
	names map[string][]Claim // by stack
	sizes map[string]int64   // by path below claims/

	mu    sync.Mutex // guards known
	known map[string]viewed
}

func (l *look) read(ctx context.Context, stack string) Claimed {
	names := l.names[stack]
	sortNames(names)
	claims, ignored, err := highest(names, func(c *Claim) (*Ignored, error) {
		path := stack + "/" + claimName(c.Epoch, c.ID)
		if k, ok := l.v.known[path]; ok && k.size == l.sizes[path] {
			*c = k.claim
		} else if passed, err := l.v.r.readClaim(ctx, l.keys, stack, c); err != nil || passed != nil {
			return passed, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.known[path] = viewed{*c, l.sizes[path]}
		return nil, nil
	})
	return Claimed{Read: err == nil, Claims: claims, Ignored: ignored}
}
