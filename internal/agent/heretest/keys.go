// Package heretest makes hosts for tests of what is done on one: with real snapshots
// in a folder, or with an engine and a record that only know what a test says.
package heretest

import (
	"context"
	"sync"
	"testing"

	"salvor/internal/agent/here"
	"salvor/internal/agentapi"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
)

var fleetKey = sync.OnceValue(NewKey)

// FleetKey is the key of the fleet in these tests.
func FleetKey() sign.Key { return fleetKey() }

// NewKey returns another signing key.
func NewKey() sign.Key { return signtest.NewKey() }

// FleetTrust is what an operator's clone goes by.
func FleetTrust() record.Trust {
	return record.Trust{
		Keys: func() (sign.Keys, error) { return sign.Keys{FleetKey().Public()}, nil },
		Key:  func(context.Context) (sign.Key, error) { return FleetKey(), nil },
	}
}

// Seal gives a stack its seal, which the fleet's key signs, and has the host trust
// that key.
func Seal(t *testing.T, h *here.Host, st *agentapi.Stack, host string, file agentapi.SealedFile) {
	t.Helper()
	in := seal.Inputs{Placement: seal.Placement{Host: host, Stack: st.Name, Epoch: st.Epoch}, Recipients: []string{h.Recipient()}}
	sealed, err := seal.Seal(file, in, FleetKey())
	if err == nil {
		err = h.Pin("home", sign.Keys{FleetKey().Public()})
	}
	if err != nil {
		t.Fatal(err)
	}
	st.Sealed, st.Signature, st.Inputs = sealed.File, sealed.Signature, in.Digest()
}
