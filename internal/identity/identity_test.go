package identity

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"salvor/internal/checkout"
	"salvor/internal/controlrepo"
	"salvor/internal/fault"
	"salvor/internal/finding"
	"salvor/internal/fleet"
	"salvor/internal/progress"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

func newKey(t *testing.T) agekey.Key {
	t.Helper()
	key, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// fleetOf is a checkout whose secrets open with the operators' keys.
func fleetOf(t *testing.T, operators map[string]string, recovery string) *checkout.Checkout {
	t.Helper()
	dir := t.TempDir()
	file := "schema: 1\nfleet: home\nsecrets:\n  nas: {command: [printf, hunter2]}\nrecipients:\n  recovery: " + recovery + "\n  operators:\n"
	for name, recipient := range operators {
		file += "    " + name + ": " + recipient + "\n"
	}
	if err := os.WriteFile(filepath.Join(dir, fleet.File), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	repo, err := controlrepo.Load(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return &checkout.Checkout{Repository: repo, Root: dir, Export: dir}
}

// file is an identity file with a key; without a passphrase it is in plain text.
func file(t *testing.T, key agekey.Key, passphrase string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "me.age")
	if err := agekey.Create(path, key, secret.NewString(passphrase), 1); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestThePassphraseIsAskedForOnce: when the first secret is needed, by however many at a
// time, and not before.
func TestThePassphraseIsAskedForOnce(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	path := file(t, key, "correct horse")
	var asked []string
	id := New(fleetOf(t, map[string]string{"ann": key.Recipient}, newKey(t).Recipient), Options{Identity: path, Passphrase: func(path string, wrong int) (secret.Value, error) {
		asked = append(asked, fmt.Sprint(path, wrong))
		return secret.NewString("correct horse"), nil
	}})
	if id.Unlocked() || id.Operator() != Owner() || len(asked) > 0 {
		t.Errorf("before: unlocked %v, %q is at work, asked %q", id.Unlocked(), id.Operator(), asked)
	}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if mine, err := id.Has(key.Recipient); err != nil || !mine {
				t.Errorf("%v, %v", mine, err)
			}
		})
	}
	all.Wait()
	if !slices.Equal(asked, []string{path + "0"}) || !id.Unlocked() || id.Operator() != "ann ("+Owner()+")" {
		t.Errorf("afterwards: unlocked %v, %q is at work, asked %q", id.Unlocked(), id.Operator(), asked)
	}
	if other := id.At(id.checkout); !other.Unlocked() || other.Trail == id.Trail {
		t.Error("at another commit the identity is locked again, or has the same trail")
	}
}

// TestAFailureIsFinal: ten secrets ask no one for the passphrase ten times.
func TestAFailureIsFinal(t *testing.T) {
	t.Parallel()
	key, asked := newKey(t), 0
	id := New(fleetOf(t, nil, key.Recipient), Options{Identity: file(t, key, "right"), Passphrase: func(_ string, wrong int) (secret.Value, error) {
		if asked++; wrong == 1 {
			return secret.Value{}, agekey.ErrNoOther
		}
		return secret.NewString("wrong"), nil
	}})
	for range 3 {
		if _, err := id.Ring.Identities(); !errors.Is(err, secret.ErrLocked) || id.Unlocked() {
			t.Errorf("unlocked %v, %v", id.Unlocked(), err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times, want for one passphrase and for another", asked)
	}
}

// TestWhatDoesNotOpenIsLocked, and says what can be done.
func TestWhatDoesNotOpenIsLocked(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	wrong := func(_ string, wrong int) (secret.Value, error) { return agekey.One(secret.NewString("wrong"))(wrong) }
	for name, c := range map[string]struct{ path, hint string }{
		"no file":          {filepath.Join(t.TempDir(), "none.age"), "--identity CARD"},
		"wrong passphrase": {file(t, key, "right"), ""},
	} {
		id := New(fleetOf(t, nil, key.Recipient), Options{Identity: c.path, Passphrase: wrong})
		_, err := id.Ring.Identities()
		if !errors.Is(err, secret.ErrLocked) || !strings.Contains(fault.Hint(err), c.hint) || strings.Contains(err.Error(), "wrong") && name == "no file" {
			t.Errorf("%s: %v, hint %q", name, err, fault.Hint(err))
		}
		if _, err := id.Has(key.Recipient); err == nil {
			t.Errorf("%s: it has a key", name)
		}
		if id.Operator() != Owner() {
			t.Errorf("%s: %q is at work", name, id.Operator())
		}
	}
}

// TestWhoIsAtWork is said by the key that is in use.
func TestWhoIsAtWork(t *testing.T) {
	t.Parallel()
	ann, recovery := newKey(t), newKey(t)
	c := fleetOf(t, map[string]string{"ann": ann.Recipient}, recovery.Recipient)
	for want, key := range map[string]agekey.Key{"ann (" + Owner() + ")": ann, "the recovery key (" + Owner() + ")": recovery, Owner(): newKey(t)} {
		id := New(c, Options{})
		id.Use(key)
		if got := id.Operator(); got != want || !id.Unlocked() {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestPathOf(t *testing.T) {
	if got, err := PathOf("/card", "home"); err != nil || got != "/card" {
		t.Errorf("given: %q, %v", got, err)
	}
	t.Setenv("XDG_CONFIG_HOME", "/conf")
	if got, err := PathOf("", "home"); err != nil || got != "/conf/salvor/home.age" {
		t.Errorf("the usual place: %q, %v", got, err)
	}
}

// TestFindings: other users can read it, or anyone who gets the file can use it; a recovery
// card is in plain text by its nature.
func TestFindings(t *testing.T) {
	t.Parallel()
	ann, recovery := newKey(t), newKey(t)
	c := fleetOf(t, map[string]string{"ann": ann.Recipient}, recovery.Recipient)
	for name, f := range map[string]struct {
		path string
		mode os.FileMode
		want []finding.Code
	}{
		"as it should be":       {file(t, ann, "pass"), 0o600, nil},
		"open to others":        {file(t, ann, "pass"), 0o644, []finding.Code{finding.IdentityExposed}},
		"in plain text":         {file(t, ann, ""), 0o600, []finding.Code{finding.IdentityInClear}},
		"both":                  {file(t, ann, ""), 0o660, []finding.Code{finding.IdentityExposed, finding.IdentityInClear}},
		"the card":              {file(t, recovery, ""), 0o600, nil},
		"the card, open to all": {file(t, recovery, ""), 0o666, []finding.Code{finding.IdentityExposed}},
	} {
		if err := os.Chmod(f.path, f.mode); err != nil {
			t.Fatal(err)
		}
		var got []finding.Code
		for _, one := range New(c, Options{Identity: f.path}).Findings() {
			got = append(got, one.Code)
			if one.Subject != f.path || one.Fix == "" || one.Severity != finding.Warning {
				t.Errorf("%s: %+v", name, one)
			}
		}
		if !slices.Equal(got, f.want) {
			t.Errorf("%s: %v, want %v", name, got, f.want)
		}
	}
	if found := New(c, Options{Identity: filepath.Join(t.TempDir(), "none")}).Findings(); len(found) > 0 {
		t.Errorf("of no file: %+v", found)
	}
}

// locked is a keyring that does not open.
type locked struct{ err error }

// Identities implements agekey.Keyring.
func (l locked) Identities() ([]age.Identity, error) { return nil, l.err }

func TestSeveralKeyringsAreOne(t *testing.T) {
	t.Parallel()
	a, b, c := newKey(t), newKey(t), newKey(t)
	id := New(fleetOf(t, nil, a.Recipient), Options{})
	id.Use(Keyrings{a, b})
	for recipient, want := range map[string]bool{a.Recipient: true, b.Recipient: true, c.Recipient: false} {
		if has, err := id.Has(recipient); err != nil || has != want {
			t.Errorf("%s: %v, %v", recipient, has, err)
		}
	}
	ids, err := id.Ring.Identities()
	if got := RecipientsOf(ids); err != nil || !slices.Equal(got, []string{a.Recipient, b.Recipient}) {
		t.Errorf("%q, %v", got, err)
	}
	away := errors.New("no card in the reader")
	if ids, err := (Keyrings{a, locked{away}}).Identities(); !errors.Is(err, away) || ids != nil {
		t.Errorf("%v, %v", ids, err)
	}
}

// TestAProgramPrintsASecret only when it is allowed, with the terminal to itself; what it
// printed is noted, and kept for the rest of the command.
func TestAProgramPrintsASecret(t *testing.T) {
	t.Parallel()
	ann := newKey(t)
	refused := errors.New("it was not approved")
	allowed, asks := false, 0
	id := New(fleetOf(t, map[string]string{"ann": ann.Recipient}, ann.Recipient), Options{
		Ask: func(ask func()) { asks++; ask() },
		Allow: func(name string, argv []string) (string, error) {
			if name != "nas" || !slices.Equal(argv, []string{"printf", "hunter2"}) {
				t.Errorf("asked for %s: %q", name, argv)
			}
			if !allowed {
				return "", refused
			}
			return t.TempDir(), nil
		},
	})
	if _, err := id.Secret(t.Context(), "nas"); !errors.Is(err, refused) || asks > 0 {
		t.Errorf("not allowed: %v, it ran %d times", err, asks)
	}
	allowed = true
	for range 2 {
		if v, err := id.Secret(t.Context(), "nas"); err != nil || string(v.Reveal()) != "hunter2" || asks != 1 {
			t.Errorf("%v, it ran %d times", err, asks)
		}
	}
	if got := id.Trail.Take(); !slices.Equal(got, []string{"nas"}) {
		t.Errorf("the trail is %q", got)
	}
	if all, err := id.Secrets(); err != nil || len(all) != 1 || all[0].Name != "nas" {
		t.Errorf("listed %+v, %v", all, err)
	}
	if _, err := id.Secret(t.Context(), "gone"); !errors.Is(err, secret.ErrNotFound) {
		t.Errorf("one that there is not: %v", err)
	}
}

// TestAWeakPasswordIsSaidOnce in a run, for each vault.
func TestAWeakPasswordIsSaidOnce(t *testing.T) {
	t.Parallel()
	ann := newKey(t)
	var said []string
	id := New(fleetOf(t, nil, ann.Recipient), Options{Sink: progress.SinkFunc(func(e progress.Event) { said = append(said, fmt.Sprint(e)) })})
	for _, vault := range []string{"default", "default", "prod", "default"} {
		id.WarnOfWeak(vault)
	}
	if len(said) != 2 || !strings.Contains(said[0], "vault id default") || !strings.Contains(said[1], "vault id prod") {
		t.Errorf("said %q", said)
	}
	New(fleetOf(t, nil, ann.Recipient), Options{}).WarnOfWeak("default") // there is no one to tell
}

// TestTrail: each name once, sorted, and nothing twice.
func TestTrail(t *testing.T) {
	t.Parallel()
	var trail Trail
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { trail.Add("b"); trail.Add("a") })
	}
	all.Wait()
	if got := trail.Take(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
	if got := trail.Take(); len(got) > 0 {
		t.Errorf("again: %q", got)
	}
}
