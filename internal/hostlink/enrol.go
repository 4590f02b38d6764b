package hostlink

import (
	"context"
	"errors"

	"salvor/internal/agentapi"
	"salvor/internal/sign"
)

// Enrol installs salvord where it is missing, asks the host for its identity and Git
// key, and has it trust the fleet's signing keys. It may be called again.
func (l *Link) Enrol(ctx context.Context, fleet string, signers sign.Keys) (agentapi.Enrolment, error) {
	var e agentapi.Enrolment
	req := agentapi.Enrol{Fleet: fleet, Host: l.Host, Signers: signers}
	err := l.Call(ctx, agentapi.VerbEnrol, req, &e)
	if errors.Is(err, ErrNoSalvord) {
		if err = l.Install(ctx); err == nil {
			err = l.Call(ctx, agentapi.VerbEnrol, req, &e)
		}
	}
	return e, err
}
