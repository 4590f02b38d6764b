package keys

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"salvor/internal/confirmation"
	"salvor/internal/exposed"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/fleetkeys/fleetkeystest"
	"salvor/internal/grant"
	"salvor/internal/lockfile"
	"salvor/internal/machine"
	"salvor/internal/proposal"
	"salvor/internal/reach"
	"salvor/internal/record"
	"salvor/internal/seal"
	"salvor/internal/sealing"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

// A keyed fleet has one operator, ann, and a stack with data and two secrets that
// is placed on alpha.
type keyed struct {
	*fleetkeystest.Fleet
	t   *testing.T
	ann string // her identity file, without a passphrase
	// how often work was to be done on the record, which is not there
	recorded int
	connect  func(context.Context, fleet.Host) (machine.Machine, error)
}

const (
	keyedFleet = `hosts:
  alpha: {address: 192.0.2.10}
remotes:
  box: {type: crypt, remote: "disk:/srv/snapshots", password: secret:box_password}
  disk: {type: local}
data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}
`
	keyedStack = `x-salvor:
  host: alpha
services:
  web:
    image: nginx:1
    environment: {PASSWORD: "${DB}"}
    secrets: [token]
    volumes: ["data:/data"]
secrets:
  token: {external: true}
volumes: {data: {}}
`
)

// newKeyed makes the fleet as salvor init and a first apply do.
func newKeyed(t *testing.T) *keyed {
	t.Helper()
	k := founded(t, map[string]string{fleet.File: keyedFleet, "stacks/notes/compose.yaml": keyedStack},
		map[string]string{"token": "s3cret", "notes/DB": "s3cret", "box_password": "of the box"})
	k.place()
	return k
}

// founded makes a fleet as salvor init does. alpha is enrolled, if it is declared.
func founded(t *testing.T, plain, secrets map[string]string) *keyed {
	t.Helper()
	f := fleetkeystest.New(t, plain, secrets)
	return &keyed{Fleet: f, t: t, ann: f.Identity}
}

func (k *keyed) must(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

// place does what the first apply commits.
func (k *keyed) place() {
	k.t.Helper()
	a := k.granting(k.ann, fleetkeystest.Yes().Grant)
	lock := a.Checkout.Lock.Copy()
	lock.Record, lock.Stacks["notes"] = a.Checkout.Fleet.Record, fleet.Placement{Host: "alpha", Epoch: 1}
	k.must(a.Confirmed.ConfirmGrants(k.t.Context(), lock))
	files, lock, err := a.sealer().Seal(k.t.Context(), lock, []string{"notes"}, nil)
	k.must(err)
	files[lockfile.Name], err = lockfile.Encode(lock)
	k.must(err)
	k.must(a.Checkout.CommitFiles(k.t.Context(), files, "placed"))
}

// opened is the fleet at its newest commit.
type opened struct {
	fleetkeystest.Opened
	Exposed *exposed.Secrets
	Keys    *Changes
}

func (o *opened) sealer() *sealing.Sealer {
	return sealing.New(o.Checkout, o.Needs, o.Confirmed, o.FleetKeys, nil)
}

func (o *opened) Lock() fleet.Lock    { return o.Checkout.Lock }
func (o *opened) Commit() string      { return string(o.Checkout.Commit) }
func (o *opened) Fleet() *fleet.Fleet { return &o.Checkout.Fleet }

// quickWork makes passphrases as cheap as a test may have them.
const quickWork = 10

// open opens the newest commit with an identity. No grant is asked for.
func (k *keyed) open(identity string) *opened {
	k.t.Helper()
	return k.granting(identity, nil)
}

// granting is open where grants are asked for.
func (k *keyed) granting(identity string, ask func([]grant.Grant) error) *opened {
	k.t.Helper()
	o := &opened{Opened: k.OpenKeys(k.t, identity, confirmation.Options{Approve: fleetkeystest.Yes().Approve, Grant: ask})}
	c := o.Checkout
	o.Exposed = exposed.New(c, o.Identity, o.Needs, nil)
	o.Keys = New(c, o.Identity, o.Needs, o.Confirmed, o.FleetKeys, o.Exposed, reach.New(c, reach.Options{Connect: k.connect}), Options{
		Identity: identity, Work: quickWork,
		Again: func(context.Context) (*Changes, func() error, error) {
			return k.open(identity).Keys, func() error { return nil }, nil
		},
		Record: func(context.Context, func(*record.Record) error) error { k.recorded++; return nil },
	})
	return o
}

// do works on the newest commit as ann.
func (k *keyed) do(work func(*opened) error) {
	k.t.Helper()
	k.must(work(k.open(k.ann)))
}

func newKey(t *testing.T) agekey.Key {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// prepared carries a proposal out, if there is one.
func prepared[R any](p proposal.Proposal[R], err error) func(context.Context) (R, error) {
	return func(ctx context.Context) (R, error) {
		if err != nil {
			var none R
			return none, err
		}
		return p.Run(ctx, nil)
	}
}

// grant adds an operator and returns their identity file.
func (k *keyed) grant(name string) (agekey.Key, string) {
	k.t.Helper()
	key, path := newKey(k.t), filepath.Join(filepath.Dir(k.ann), name+".age")
	if err := agekey.Create(path, key, secret.Value{}, 0); err != nil {
		k.t.Fatal(err)
	}
	k.do(func(a *opened) error {
		_, err := prepared(a.Keys.PrepareGrant(name, key.Recipient))(k.t.Context())
		return err
	})
	return key, path
}

func (k *keyed) recovery() (key agekey.Key) {
	k.t.Helper()
	k.do(func(a *opened) (err error) { key, err = a.FleetKeys.Recovery(); return err })
	return key
}

// opensNothing fails when a key opens any encrypted file of the newest commit.
func (k *keyed) opensNothing(who string, key agekey.Key) {
	k.t.Helper()
	a := k.open(k.ann)
	a.Identity.Use(key)
	all, err := a.Identity.Store.List()
	if err != nil || len(all) != 5 {
		k.t.Fatal(all, err)
	}
	for _, s := range all {
		if _, err := a.Identity.Secret(k.t.Context(), s.Name); !errors.Is(err, secret.ErrLocked) {
			k.t.Errorf("%s opens the secret %s: %v", who, s.Name, err)
		}
	}
	if _, err := a.FleetKeys.Recovery(); !errors.Is(err, secret.ErrLocked) {
		k.t.Errorf("%s opens the recovery key: %v", who, err)
	}
	if err := a.Needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		_, err := a.FleetKeys.OpenRecovery(stack, sealed)
		return err
	}); !errors.Is(err, secret.ErrLocked) {
		k.t.Errorf("%s opens the snapshot passwords: %v", who, err)
	}
}

func (k *keyed) opensAll(who string, ring agekey.Keyring) {
	k.t.Helper()
	if err := k.open(k.ann).Keys.opensAll(k.t.Context(), ring); err != nil {
		k.t.Errorf("%s does not open everything: %v", who, err)
	}
}

// opensSecrets is opensAll for a card, which has what recovery.age holds.
func (k *keyed) opensSecrets(who string, key agekey.Key) {
	k.t.Helper()
	a := k.open(k.ann)
	a.Identity.Use(key)
	if err := a.Keys.opensSecrets(k.t.Context()); err != nil {
		k.t.Errorf("%s does not open everything: %v", who, err)
	}
}

func (k *keyed) codes(want finding.Code) (subjects []string) {
	found, err := k.open(k.ann).Exposed.Findings()
	k.must(err)
	for _, f := range found {
		if f.Code == want {
			subjects = append(subjects, f.Subject)
		}
	}
	return subjects
}
