package converge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"salvor/internal/machine"
	"salvor/internal/machine/observe"
)

// A Plan is what has to change on one host, in an order that can be applied.
type Plan struct {
	Changes []Change
	steps   []step
	machine machine.Machine
}

// A step is a change with its resource and the steps that come first.
type step struct {
	resource Resource
	change   Change
	first    []int // indexes of steps
}

// NewPlan observes the machine and says what differs from the resources. A
// cycle, an unknown need or a resource that can't be observed is an error.
func NewPlan(ctx context.Context, m machine.Machine, resources []Resource) (*Plan, error) {
	g, err := newGraph(resources)
	if err != nil {
		return nil, err
	}
	changes, err := diffAll(ctx, m, g.resources)
	if err != nil {
		return nil, err
	}
	p := &Plan{machine: m}
	at := make([]int, len(g.resources)) // resource to step, -1 for none
	for i, r := range g.resources {
		at[i] = -1
		change := changes[i]
		if change == nil {
			change = followed(r, g, changes)
		}
		if change == nil {
			continue
		}
		change.ID = r.ID()
		changes[i] = change
		at[i] = len(p.steps)
		p.steps = append(p.steps, step{resource: r, change: *change, first: g.stepsBefore(i, at)})
		p.Changes = append(p.Changes, *change)
	}
	return p, nil
}

// diffAll asks every resource at once; they share what is read.
func diffAll(ctx context.Context, m machine.Machine, resources []Resource) ([]*Change, error) {
	var queries []observe.Query
	for _, r := range resources {
		queries = append(queries, r.Links().Looks)
	}
	h := observe.New(m, queries...)
	changes, errs := make([]*Change, len(resources)), make([]error, len(resources))
	var wg sync.WaitGroup
	for i, r := range resources {
		wg.Go(func() { changes[i], errs[i] = diff(ctx, h, r) })
	}
	wg.Wait()
	return changes, errors.Join(errs...)
}

func diff(ctx context.Context, h *observe.Host, r Resource) (*Change, error) {
	change, err := r.Diff(ctx, h)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.ID(), err)
	}
	return change, nil
}

// followed returns the change of a resource that is right now but follows one
// that changes: what it has to do shows only then, so its Diff is asked again.
func followed(r Resource, g *graph, changes []*Change) *Change {
	for _, id := range r.Links().Follows {
		if j, ok := g.index[id]; ok && changes[j] != nil {
			return &Change{Action: Changes, Cause: id + " changes"}
		}
	}
	return nil
}

// Empty reports whether the host is right.
func (p *Plan) Empty() bool { return len(p.Changes) == 0 }

// Fingerprint identifies the plan's changes: "sha256:…". Two plans with the
// same fingerprint would do the same for the same reasons.
func (p *Plan) Fingerprint() string {
	sum := sha256.New()
	enc := json.NewEncoder(sum)
	for _, c := range p.Changes {
		if err := enc.Encode(c); err != nil {
			panic("salvor: internal error: " + err.Error()) // strings alone: can't happen
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// String renders the plan, a line for each change and one for what it destroys.
func (p *Plan) String() string {
	var b strings.Builder
	for _, c := range p.Changes {
		c.render(&b)
	}
	return b.String()
}

func (c Change) render(w io.Writer) {
	fmt.Fprintf(w, "%s %s: %s\n", c.Action, c.ID, c.Cause)
	if c.Destroys != "" {
		fmt.Fprintf(w, "  ! destroys %s\n", c.Destroys)
	}
}
