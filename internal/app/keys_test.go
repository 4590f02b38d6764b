package app

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"salvor/internal/card"
	"salvor/internal/confirmation"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/git"
	"salvor/internal/hostkey"
	"salvor/internal/lockfile"
	"salvor/internal/machine/local"
	"salvor/internal/newfleet"
	"salvor/internal/proposal"
	"salvor/internal/reach"
	"salvor/internal/seal"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/secretnames"
	"salvor/internal/secretstore"
	"salvor/internal/sign"
)

// A keyed fleet has one operator, ann, and a stack with data and two secrets that
// is placed on alpha.
type keyed struct {
	t     *testing.T
	dir   string
	ann   string     // her identity file, without a passphrase
	host  agekey.Key // alpha's
	signs sign.Key
	disk  string // what the remote is
}

const keyedStack = `x-salvor:
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

func newKeyed(t *testing.T) *keyed {
	t.Helper()
	return newKeyedOn(t, filepath.Join(t.TempDir(), "disk"))
}

// newKeyedOn makes the fleet with its remote in a folder, which others may use too.
func newKeyedOn(t *testing.T, disk string) *keyed {
	t.Helper()
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"} {
		t.Setenv(name, "Olga")
	}
	for _, name := range []string{"GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(name, "olga@example.net")
	}
	base := t.TempDir()
	k := &keyed{t: t, dir: filepath.Join(base, "fleet"), ann: filepath.Join(base, "ann.age"), host: newKey(t), signs: mustSigner(t), disk: disk}
	if _, err := prepared(newfleet.Prepare(t.Context(), newfleet.Fleet{Dir: k.dir, Name: "home", Operator: "ann", Identity: k.ann}))(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(k.dir, fleet.File))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(config), "hosts: {}\n", "hosts:\n  alpha: {address: 192.0.2.10}\n", 1)
	text = strings.Replace(text, "remotes: {}\n", "remotes:\n  box: {type: crypt, remote: \"disk:"+k.disk+"\", password: secret:box_password}\n  disk: {type: local}\n"+
		"data: {snapshots: [{name: offsite, remote: box, path: snapshots, every: 15m}]}\n", 1)
	files := map[string][]byte{
		fleet.File: []byte(text), "hosts/alpha.pub": hostkey.Keys{Recipient: k.host.Recipient, Signer: k.signs.Public()}.File(),
		"stacks/hello/compose.yaml": nil, "stacks/notes/compose.yaml": []byte(keyedStack),
	}
	k.do(func(a *App) error {
		for name, value := range map[string]string{"token": "s3cret", "notes/DB": "s3cret", "box_password": "of the box"} {
			changes, err := a.Secrets.Encrypt(t.Context(), name, secret.NewString(value))
			if err != nil {
				return err
			}
			maps.Copy(files, changes)
		}
		return a.Checkout.CommitFiles(t.Context(), files, "a fleet")
	})
	k.place()
	return k
}

func (k *keyed) commit(files map[string][]byte) {
	k.t.Helper()
	g, err := git.Open(k.t.Context(), local.Machine{}, k.dir, os.Environ())
	if err == nil {
		_, err = g.CommitFiles(k.t.Context(), files, "test")
	}
	if err != nil {
		k.t.Fatal(err)
	}
}

// place does what the first apply commits.
func (k *keyed) place() {
	k.t.Helper()
	k.do(func(a *App) error {
		lock := a.Checkout.Lock.Copy()
		lock.Record, lock.Stacks["notes"] = a.Checkout.Fleet.Record, fleet.Placement{Host: "alpha", Epoch: 1}
		files, lock, err := a.sealer().Seal(k.t.Context(), lock, []string{"notes"}, nil)
		if err != nil {
			return err
		}
		if files[lockfile.Name], err = lockfile.Encode(lock); err != nil {
			return err
		}
		return a.Checkout.CommitFiles(k.t.Context(), files, "placed")
	})
}

// quickWork makes passphrases as cheap as a test may have them.
const quickWork = 10

func (k *keyed) open(identity string) *App {
	k.t.Helper()
	return openWith(k.t, k.options(identity))
}

func (k *keyed) options(identity string) Options {
	return Options{
		Dir: k.dir, Identity: identity, Approve: approveAll, Work: quickWork,
		Unlock: func(string, int) (secret.Value, error) {
			return secret.Value{}, errors.New("no passphrase is asked for")
		},
	}
}

// approveAll is an operator who says yes to everything.
func approveAll(confirmation.Approval) error { return nil }

// do works on the newest commit as ann.
func (k *keyed) do(work func(*App) error) {
	k.t.Helper()
	if err := work(k.open(k.ann)); err != nil {
		k.t.Fatal(err)
	}
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
	k.do(func(a *App) error {
		_, err := prepared(a.Keys.PrepareGrant(name, key.Recipient))(k.t.Context())
		return err
	})
	return key, path
}

func (k *keyed) recovery() (key agekey.Key) {
	k.t.Helper()
	k.do(func(a *App) (err error) { key, err = a.FleetKeys.Recovery(); return err })
	return key
}

// opensAll fails unless an identity opens everything that operators can open.
func (k *keyed) opensAll(identity string) {
	k.t.Helper()
	a := k.open(identity)
	all, err := a.Identity.Store.List()
	for _, s := range all {
		_, failed := a.Identity.Secret(k.t.Context(), s.Name)
		err = errors.Join(err, failed)
	}
	_, failed := a.FleetKeys.Recovery()
	if err := errors.Join(err, failed, a.Needs.EachRecovery(func(stack string, sealed seal.Signed) error {
		_, err := a.FleetKeys.OpenRecovery(stack, sealed)
		return err
	})); err != nil {
		k.t.Errorf("%s does not open everything: %v", identity, err)
	}
}

func (k *keyed) codes(want finding.Code) (subjects []string) {
	for _, f := range k.open(k.ann).Findings() {
		if f.Code == want {
			subjects = append(subjects, f.Subject)
		}
	}
	return subjects
}

// TestAProofIsOfOneRecoveryKey: a revocation makes another, which no one has tried.
func TestAProofIsOfOneRecoveryKey(t *testing.T) {
	k := newKeyed(t)
	k.grant("bob")
	proven, err := card.Proven{k.recovery().Recipient: time.Now()}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	k.commit(map[string][]byte{card.ProvenPath: proven})
	if found := k.codes(finding.KeyUnproven); len(found) != 0 {
		t.Fatalf("the proof does not count: %v", found)
	}
	k.do(func(a *App) error { _, err := prepared(a.Keys.PrepareRevoke("bob"))(t.Context()); return err })
	if found := k.codes(finding.KeyUnproven); len(found) != 1 {
		t.Errorf("the proof of the old recovery key counts for the new one: %v", found)
	}
	if want := []string{"secret box_password", "secret fleet_sign_key", "secret fleet_ssh_key", "secret notes/DB", "secret token"}; !slices.Equal(want, k.codes(finding.SecretSeen)) {
		t.Errorf("findings about %v, want %v", k.codes(finding.SecretSeen), want)
	}
}

func TestASecretWithANewValueIsNotSeen(t *testing.T) {
	k := newKeyed(t)
	k.grant("bob")
	k.do(func(a *App) error { _, err := prepared(a.Keys.PrepareRevoke("bob"))(t.Context()); return err })
	k.do(func(a *App) error {
		_, err := prepared(a.Secrets.PrepareSet(t.Context(), "token", secret.NewString("another")))(t.Context())
		return err
	})
	if want := []string{"secret box_password", "secret fleet_sign_key", "secret fleet_ssh_key", "secret notes/DB"}; !slices.Equal(want, k.codes(finding.SecretSeen)) {
		t.Errorf("after one is set: %v", k.codes(finding.SecretSeen))
	}
	var before secretstore.Changes
	k.do(func(a *App) (err error) {
		before, err = a.Secrets.RotateSecret(t.Context(), "notes/DB", secret.NewString("another"))
		return err
	})
	if want := []string{"secret box_password", "secret fleet_sign_key", "secret fleet_ssh_key"}; !slices.Equal(want, k.codes(finding.SecretSeen)) {
		t.Errorf("after one is rotated: %v", k.codes(finding.SecretSeen))
	}
	k.do(func(a *App) error { return a.Secrets.UndoRotation(t.Context(), "notes/DB", before) })
	if want := []string{"secret box_password", "secret fleet_sign_key", "secret fleet_ssh_key", "secret notes/DB"}; !slices.Equal(want, k.codes(finding.SecretSeen)) {
		t.Errorf("after a rotation that was undone: %v", k.codes(finding.SecretSeen))
	}
	for _, name := range []string{"notes/DB", "box_password"} {
		k.do(func(a *App) error {
			_, err := prepared(a.Secrets.PrepareSet(t.Context(), name, secret.NewString("another")))(t.Context())
			return err
		})
	}
	k.do(func(a *App) error { // what the second steps of key ssh --rotate and key rotate --signing do, which need hosts
		files := map[string][]byte{}
		return errors.Join(a.Exposed.NoteChanged(files, reach.SSHKeyName, secretnames.SignKey), a.Checkout.CommitFiles(t.Context(), files, "other keys"))
	})
	if _, err := os.Stat(filepath.Join(k.dir, secretstore.RemovalsPath)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing is left to change, and the file is there: %v", err)
	}
}
