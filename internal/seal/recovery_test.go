package seal

import (
	"errors"
	"strings"
	"testing"

	"salvor/internal/secret"
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
	sealed, err := sample(t).Seal([]string{operator.Recipient, card.Recipient})
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
	if got := string(decryptWithAge(t, sealed, card)); got != want {
		t.Errorf("age printed\n%s", got)
	}
	r, err := OpenRecovery(sealed, operator, "notes")
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
	sealed, err := sample(t).Seal(recipients)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenRecovery(sealed, mustKey(t), "notes"); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another key: %v", err)
	}
	if _, err := OpenRecovery(sealed, operator, "wiki"); !errors.Is(err, ErrMismatch) {
		t.Errorf("another stack: %v", err)
	}
	if _, err := sample(t).Add(repository("3f2a", "other")); err == nil {
		t.Error("a password was replaced")
	}
	if _, err := sample(t).Add(repository("new", "two\nlines")); err == nil {
		t.Error("a password of two lines was taken")
	}
	if !RecoveryCurrent(sealed, "notes", recipients) || RecoveryCurrent(sealed, "notes", append(recipients, mustKey(t).Recipient)) {
		t.Error("RecoveryCurrent is wrong")
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
