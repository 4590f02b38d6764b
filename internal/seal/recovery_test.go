package seal

import (
	"errors"
	"strings"
	"testing"

	"salvor/internal/secret"
	"salvor/internal/sign"
)

func repository(id, password string) Repository {
	return Repository{ID: id, Target: "offsite", Location: "drive:salvor/snapshots/notes/" + id, Password: secret.NewString(password)}
}

func sample(t testing.TB) Recovery {
	t.Helper()
	r, err := Recovery{Stack: "notes"}.Add(repository("3f2a", canary))
	if err == nil {
		r, err = r.Add(repository("91c0", "second"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRecoveryIsReadableWithAgeAlone(t *testing.T) {
	operator, card := mustKey(t), mustKey(t)
	sealed, err := sample(t).Seal([]string{operator.Recipient, card.Recipient}, fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	want := `# Snapshot repositories of the stack notes. Read one without Salvor, with its remote set up in rclone:
#   restic -r rclone:LOCATION snapshots        (it asks for the password)
schema: 1
stack: notes

repository: 3f2a
target: offsite
location: drive:salvor/snapshots/notes/3f2a
password: hunter2-canary

repository: 91c0
target: offsite
location: drive:salvor/snapshots/notes/91c0
password: second
`
	if got := string(decryptWithAge(t, sealed.File, card)); got != want {
		t.Errorf("age printed\n%s", got)
	}
	r, err := sealed.OpenRecovery(fleetKeys, operator, "notes")
	if err != nil {
		t.Fatal(err)
	}
	repo, ok := r.Find("3f2a")
	if !ok || string(repo.Password.Reveal()) != canary || len(r.Repositories) != 2 {
		t.Errorf("found %v, %d repositories", ok, len(r.Repositories))
	}
}

func TestRecoveryRefusals(t *testing.T) {
	operator := mustKey(t)
	recipients := []string{operator.Recipient}
	sealed, err := sample(t).Seal(recipients, fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sealed.OpenRecovery(fleetKeys, mustKey(t), "notes"); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another key: %v", err)
	}
	if _, err := sealed.OpenRecovery(fleetKeys, operator, "wiki"); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("another stack: %v", err)
	}
	if _, err := sample(t).Add(repository("3f2a", "other")); err == nil {
		t.Error("a password was replaced")
	}
	if _, err := sample(t).Add(repository("new", "two\nlines")); err == nil {
		t.Error("a password of two lines was taken")
	}
	if err := sealed.RecoveryCurrent("notes", recipients, fleetKeys); err != nil {
		t.Error(err)
	}
	if err := sealed.RecoveryCurrent("notes", append(recipients, mustKey(t).Recipient), fleetKeys); !errors.Is(err, ErrStale) {
		t.Error(err)
	}
}

// TestS07PasswordsOfRepositoriesAreTheFleets: who can push could have a stack's data
// written to a repository of theirs, with a password that they know.
func TestS07PasswordsOfRepositoriesAreTheFleets(t *testing.T) {
	operator, eve := mustKey(t), sample(t)
	eve.Repositories[0].Password = secret.NewString("chosen by eve")
	theirs, _ := newSigner()
	forged, err := eve.Seal([]string{operator.Recipient}, theirs)
	if err != nil {
		t.Fatal(err)
	}
	good, err := sample(t).Seal([]string{operator.Recipient}, fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Signed{"eve's signature": forged, "none": {forged.File, nil}, "the one before": {forged.File, good.Signature}} {
		if _, err := s.OpenRecovery(fleetKeys, operator, "notes"); !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.RecoveryCurrent("notes", []string{operator.Recipient}, fleetKeys); !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS07TheRecoveryKeyIsTheFleets: a card from another one opens nothing.
func TestS07TheRecoveryKeyIsTheFleets(t *testing.T) {
	operator, recovery, eves := mustKey(t), mustKey(t), mustKey(t)
	good, err := SealKey(recovery, fleetKey, operator.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := good.OpenKey(fleetKeys, operator, recovery.Recipient); err != nil || got.Recipient != recovery.Recipient {
		t.Errorf("%s, %v", got.Recipient, err)
	}
	theirs, _ := newSigner()
	forged, err := SealKey(eves, theirs, operator.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Signed{"eve's signature": forged, "none": {forged.File, nil}, "the one before": {forged.File, good.Signature}} {
		if got, err := s.OpenKey(fleetKeys, operator, eves.Recipient); !errors.Is(err, sign.ErrUntrusted) || got.Recipient != "" {
			t.Errorf("%s: %s, %v", name, got.Recipient, err)
		}
	}
	if _, err := good.OpenKey(fleetKeys, operator, eves.Recipient); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("fleet.yaml names another key: %v", err)
	}
}

func TestParseRecoveryNamesTheLineAndShowsNothing(t *testing.T) {
	head := "schema: 1\nstack: notes\n"
	repo := "repository: a\ntarget: t\nlocation: l\npassword: " + canary + "\n"
	for name, c := range map[string][2]string{
		"empty":         {"", "r:0: cut off: want schema"},
		"newer schema":  {"schema: 2\n", "r:1: schema is not 1"},
		"no stack":      {"schema: 1\nrepository: a\n", "r:2: want stack here"},
		"cut off":       {head + repo[:30], "r:5: "},
		"no password":   {head + "repository: a\ntarget: t\nlocation: l\n", "r:5: cut off: want password"},
		"out of order":  {head + "repository: a\npassword: " + canary + "\n", "r:4: want target here"},
		"no key":        {head + canary + "\n", "r:3: want `key: value`"},
		"unknown key":   {head + canary + ": x\n", "r:3: want repository here"},
		"an id twice":   {head + repo + repo, "r:10: repository a is there twice"},
		"very long one": {head + "repository: " + strings.Repeat("x", 1<<17), "r:2: "},
	} {
		_, err := ParseRecovery("r", secret.NewString(c[0]))
		if err == nil || !strings.HasPrefix(err.Error(), c[1]) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v, want %q", name, err, c[1])
		}
	}
}

func TestNewPasswordHas256Bits(t *testing.T) {
	a, b := string(NewPassword().Reveal()), string(NewPassword().Reveal())
	if len(a) != 43 || a == b || strings.ContainsAny(a, "+/=") {
		t.Errorf("%d characters, equal: %v", len(a), a == b)
	}
}

func FuzzParseRecovery(f *testing.F) {
	f.Add(sample(f).text().Reveal())
	f.Add([]byte("schema: 1\nstack: x\nrepository: a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecovery("r", secret.New(data))
		if err != nil {
			return
		}
		again, err := ParseRecovery("again", r.text())
		if err != nil || len(again.Repositories) != len(r.Repositories) || again.Stack != r.Stack {
			t.Errorf("does not read its own writing: %v", err)
		}
	})
}
