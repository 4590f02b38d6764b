package keys

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"salvor/internal/agentapi"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/machine"
	"salvor/internal/machine/debiantest"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// enrolling is a host that takes the signing keys that it is given.
type enrolling struct {
	*debiantest.Host
	answer agentapi.Enrolment
	mu     sync.Mutex // guards trusts
	trusts sign.Keys
}

// Run implements machine.Machine.
func (e *enrolling) Run(_ context.Context, c machine.Cmd) (machine.Output, error) {
	if len(c.Argv) != 2 || c.Argv[1] != agentapi.VerbEnrol {
		return machine.Output{}, fmt.Errorf("%v was run", c.Argv)
	}
	var req agentapi.Request
	var enrol agentapi.Enrol
	if err := json.NewDecoder(c.Stdin).Decode(&req); err != nil {
		return machine.Output{}, err
	}
	if err := json.Unmarshal(req.Body, &enrol); err != nil {
		return machine.Output{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.trusts = enrol.Signers
	result, err := json.Marshal(e.answer)
	if err != nil {
		return machine.Output{}, err
	}
	return machine.Output{}, json.NewEncoder(c.Stdout).Encode(agentapi.Message{Result: result})
}

func (k *keyed) trusted() sign.Keys {
	k.t.Helper()
	keys, err := k.open(k.ann).Confirmed.Trusted()
	k.must(err)
	return keys
}

// TestHostsTrustANewSigningKeyBeforeItSigns rotates while alpha does not answer, again, and
// once it answers.
func TestHostsTrustANewSigningKeyBeforeItSigns(t *testing.T) {
	t.Parallel()
	k := newKeyed(t)
	k.do(func(a *opened) error { // the old key is exposed until it is replaced
		files := map[string][]byte{}
		_, err := a.Exposed.NoteRemoval(secretstore.Removal{Operator: "bob", At: time.Now()}, files)
		k.Commit(t, files)
		return err
	})
	k.connect = func(context.Context, fleet.Host) (machine.Machine, error) { return nil, machine.ErrUnreachable }
	before := k.trusted()
	host := &enrolling{Host: debiantest.New(), answer: agentapi.Enrolment{
		Recipient: k.Host.Recipient, Signer: before[0], GitKey: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
	}}
	for range 2 {
		_, err := k.open(k.ann).Keys.PrepareRotateSigning().Run(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "alpha does not trust the new key yet") || !strings.Contains(fault.Hint(err), "salvor key rotate --signing again") {
			t.Fatalf("%v (%s)", err, fault.Hint(err))
		}
		both := k.trusted()
		if key, err := k.open(k.ann).FleetKeys.SigningKey(t.Context()); err != nil || len(both) != 2 || both[0] != before[0] || key.Public() != before[0] {
			t.Fatalf("trusted %q, %v: the old key signs until every host trusts the new one", both, err)
		}
	}
	if k.recorded != 0 {
		t.Error("the record was signed with a key that alpha does not trust")
	}
	both := k.trusted()
	k.connect = func(context.Context, fleet.Host) (machine.Machine, error) { return host, nil }
	if _, err := k.open(k.ann).Keys.PrepareRotateSigning().Run(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(host.trusts, both) {
		t.Errorf("alpha trusts %q, want %q", host.trusts, both)
	}
	if k.recorded != 1 {
		t.Errorf("the record was signed again %d times", k.recorded)
	}
	now := k.open(k.ann)
	if key, err := now.FleetKeys.SigningKey(t.Context()); err != nil || !slices.Equal(k.trusted(), sign.Keys{both[1]}) || key.Public() != both[1] {
		t.Errorf("trusted %q: %v", k.trusted(), err)
	}
	if unsigned, err := now.Confirmed.Unsigned(); err != nil || len(unsigned) != 0 {
		t.Errorf("not signed by the new key: %v, %v", unsigned, err)
	}
	if stale, err := now.sealer().Stale(t.Context(), now.Lock()); err != nil || len(stale) > 0 {
		t.Errorf("seals that were signed again are out of date: %v, %v", stale, err)
	}
	if left := k.codes(finding.SecretSeen); slices.Contains(left, "secret fleet_sign_key") || !slices.Contains(left, "secret fleet_ssh_key") {
		t.Errorf("exposed are %v", left)
	}
	k.opensAll("ann", ringOf(t, k.ann, ""))
}
