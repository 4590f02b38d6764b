// Package claims lists the claims on a fleet's record, by which stacks belong to hosts,
// and deletes one that is in the way.
package claims

import (
	"context"
	"fmt"
	"slices"

	"salvor/internal/fault"
	"salvor/internal/progress"
	"salvor/internal/proposal"
	"salvor/internal/record"
	"salvor/internal/suggest"
)

// A Record is the fleet's record, as far as its claims need it.
type Record struct {
	// With opens the record for one piece of work.
	With func(ctx context.Context, work func(*record.Record) error) error
	// OnBranch judges the commits that claims were made from.
	OnBranch func(ctx context.Context) record.OnBranch
}

// A Row is a file among the claims of a stack.
type Row struct {
	Stack   string `json:"stack"`
	Epoch   int    `json:"epoch"`
	ID      string `json:"id"`
	Host    string `json:"host"`              // for an ignored file: the host that it claims to be of
	Rules   bool   `json:"rules"`             // the stack is the host's by this one
	Ignored string `json:"ignored,omitempty"` // why it does not count, whatever is next to it
}

// List returns what is on the record among the claims, of one stack or, with "", of
// all: by stack, the highest epoch first. It is never nil.
func List(ctx context.Context, r Record, stack string) ([]Row, error) {
	rows := []Row{}
	err := r.With(ctx, func(rec *record.Record) error {
		all, err := rec.AllClaims(ctx)
		if err != nil {
			return err
		}
		onBranch := r.OnBranch(ctx)
		for _, l := range all {
			if stack != "" && l.Stack != stack {
				continue
			}
			row := Row{Stack: l.Stack, Epoch: l.Epoch, ID: l.ID, Host: l.Host, Ignored: l.Ignored}
			row.Rules = l.Ignored == "" && ruling(all, l.Stack, onBranch).ID == l.ID
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// ruling is what a stack's signed claims say.
func ruling(all []record.Listed, stack string, onBranch record.OnBranch) record.Ruling {
	var claims []record.Claim
	for _, l := range all {
		if l.Stack == stack && l.Ignored == "" {
			claims = append(claims, l.Claim)
		}
	}
	return record.Rule(claims, onBranch)
}

// listed is the error about a claim that is not there.
func listed(rows []Row, stack, id string) error {
	var ids []string
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	if slices.Contains(ids, id) {
		return nil
	}
	return fault.WithHint(fmt.Errorf("%s has no claim %s%s", stack, id, suggest.DidYouMean(id, ids)), "salvor claim ls "+stack+" lists them")
}

// A Dropped is the receipt of a claim that was deleted.
type Dropped struct{ Stack, ID string }

// PrepareDrop proposes to delete a file among the claims of a stack, by its id.
func PrepareDrop(ctx context.Context, r Record, stack, id string) (proposal.Proposal[Dropped], error) {
	p := proposal.New(fmt.Sprintf("delete claim %s of %s", id, stack), func(ctx context.Context, _ progress.Sink) (Dropped, error) {
		return Dropped{stack, id}, r.With(ctx, func(rec *record.Record) error { return rec.DropClaim(ctx, stack, id) })
	})
	p.Name = stack
	p.Question = fmt.Sprintf("This deletes the file %s among the claims of %s.", id, stack)
	rows, err := List(ctx, r, stack)
	if err == nil {
		err = listed(rows, stack, id)
	}
	if slices.ContainsFunc(rows, func(row Row) bool { return row.ID == id && row.Rules }) {
		p.Question = fmt.Sprintf("This deletes the claim that gives %s to its host; the previous host may start it "+
			"while Git does not answer. salvor apply writes the claim again.", stack)
	}
	return p, err
}
