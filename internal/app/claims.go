package app

import (
	"context"
	"slices"

	"salvor/internal/record"
)

// A ClaimRow is a file among the claims of a stack.
type ClaimRow struct {
	Stack   string `json:"stack"`
	Epoch   int    `json:"epoch"`
	ID      string `json:"id"`
	Host    string `json:"host"`              // for an ignored file: the host that it claims to be of
	Rules   bool   `json:"rules"`             // the stack is the host's by this one
	Ignored string `json:"ignored,omitempty"` // why it does not count, whatever is next to it
}

// Claims lists what is on the record among the claims, of one stack or, with "", of
// all.
func (r *recorder) Claims(ctx context.Context, stack string) ([]ClaimRow, error) {
	rows := []ClaimRow{}
	err := r.with(ctx, func(rec *record.Record) error {
		all, err := rec.AllClaims(ctx)
		if err != nil {
			return err
		}
		onBranch := r.onBranch(ctx)
		for _, l := range all {
			if stack != "" && l.Stack != stack {
				continue
			}
			row := ClaimRow{Stack: l.Stack, Epoch: l.Epoch, ID: l.ID, Host: l.Host, Ignored: l.Ignored}
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

// ClaimRules reports whether a stack is a host's by that claim.
func (r *recorder) ClaimRules(ctx context.Context, stack, id string) (bool, error) {
	rows, err := r.Claims(ctx, stack)
	return slices.ContainsFunc(rows, func(r ClaimRow) bool { return r.ID == id && r.Rules }), err
}

// DropClaim takes a claim of a stack away.
func (r *recorder) DropClaim(ctx context.Context, stack, id string) error {
	return r.with(ctx, func(rec *record.Record) error { return rec.DropClaim(ctx, stack, id) })
}
