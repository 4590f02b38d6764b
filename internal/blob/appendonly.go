package blob

import (
	"context"
	"errors"
)

// ErrAppendOnly is wrapped by the error of a deletion that an AppendOnly store refuses.
var ErrAppendOnly = errors.New("deleting is not allowed there: it is append-only")

// AppendOnly returns a store that reads from another and adds to it. Its Delete is
// always ErrAppendOnly, and the other is not asked.
func AppendOnly(s Store) Store { return appendOnly{s} }

type appendOnly struct{ Store }

// Delete implements Store.
func (appendOnly) Delete(context.Context, string) error { return ErrAppendOnly }
