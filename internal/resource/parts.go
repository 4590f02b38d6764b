package resource

import (
	"context"
	"strings"

	"salvor/internal/converge"
	"salvor/internal/machine/observe"
)

// diffParts compares a resource that is made of others, in order. Apply asks
// each part again after the one before it, as a plan does.
func diffParts(ctx context.Context, h *observe.Host, parts ...converge.Resource) (*converge.Change, error) {
	var causes, seen []string
	for _, p := range parts {
		change, err := p.Diff(ctx, h)
		if err != nil {
			return nil, err
		}
		if change != nil {
			causes, seen = append(causes, p.ID()+": "+change.Cause), append(seen, change.Seen)
		}
	}
	change := because(causes, func(ctx context.Context, say func(string)) error {
		for _, p := range parts {
			change, err := p.Diff(ctx, observe.New(h.Machine, p.Links().Looks))
			if err == nil && change != nil {
				err = change.Apply(ctx, say)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if change != nil {
		change.Seen = strings.TrimSpace(strings.Join(seen, " "))
	}
	return change, nil
}

func looksOf(parts ...converge.Resource) observe.Query {
	var q observe.Query
	for _, p := range parts {
		looks := p.Links().Looks
		q.Paths = append(q.Paths, looks.Paths...)
		q.Units = append(q.Units, looks.Units...)
	}
	return q
}
