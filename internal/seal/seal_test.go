package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
)

const canary = "hunter2-canary"

func mustKey(t testing.TB) agekey.Key {
	t.Helper()
	k, err := agekey.Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

var notes = Placement{Host: "alpha", Stack: "notes", Epoch: 3}

func inputsFor(k agekey.Key) Inputs {
	return Inputs{Placement: notes, Recipients: []string{k.Recipient}, Parts: map[string][]byte{"secrets/notes.env": []byte("ciphertext")}}
}

func content() agentapi.SealedFile {
	return agentapi.SealedFile{
		Remotes:      map[string]agentapi.SealedRemote{"drive": {Type: "drive", Options: map[string][]byte{"token": []byte(canary)}}},
		Repositories: map[string][]byte{"3f2a": []byte(canary)},
		Registries:   map[string]agentapi.SealedLogin{"r.example.net": {Username: []byte("u"), Password: []byte(canary)}},
		Secrets:      map[string][]byte{"db": {0, 255, '\n'}},
		Env:          map[string][]byte{"A": []byte(canary)},
	}
}

func mustSeal(t testing.TB, in Inputs) []byte {
	t.Helper()
	sealed, err := Seal(content(), in)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// decryptWithAge reads a file with the real age program.
func decryptWithAge(t *testing.T, sealed []byte, key agekey.Key) []byte {
	t.Helper()
	age, err := exec.LookPath("age")
	if err != nil {
		if os.Getenv("SALVOR_LAB") == "require" {
			t.Fatal("age is not installed")
		}
		t.Skip("age is not installed")
	}
	identity := filepath.Join(t.TempDir(), "id")
	if err := os.WriteFile(identity, key.IdentityFile().Reveal(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), age, "-d", "-i", identity)
	cmd.Stdin = bytes.NewReader(sealed)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("age -d: %v", err)
	}
	return out
}

func TestOnlyTheHostOpensItsFile(t *testing.T) {
	alpha, beta := mustKey(t), mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	if bytes.Contains(sealed, []byte(canary)) {
		t.Error("the sealed file shows a secret")
	}
	got, err := Open(sealed, alpha, notes)
	if err != nil {
		t.Fatal(err)
	}
	want := content()
	want.Schema, want.Host, want.Stack, want.Epoch = agentapi.Schema, "alpha", "notes", 3
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := Open(sealed, beta, notes); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another host: %v, want secret.ErrLocked", err)
	}
}

func TestTheAgeProgramReadsASealedFile(t *testing.T) {
	alpha := mustKey(t)
	var got agentapi.SealedFile
	if err := json.Unmarshal(decryptWithAge(t, mustSeal(t, inputsFor(alpha)), alpha), &got); err != nil {
		t.Fatal(err)
	}
	if got.Stack != "notes" || string(got.Env["A"]) != canary {
		t.Errorf("got %q", got.Stack)
	}
}

func TestOpenRefusesWhatIsForSomethingElse(t *testing.T) {
	alpha := mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	for name, want := range map[string]Placement{
		"another host":  {"beta", "notes", 3},
		"another stack": {"alpha", "wiki", 3},
		"older epoch":   {"alpha", "notes", 4},
		"newer epoch":   {"alpha", "notes", 2},
	} {
		if _, err := Open(sealed, alpha, want); !errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v, want ErrMismatch", name, err)
		}
	}
	for name, plain := range map[string]string{
		"newer schema":   `{"schema":2,"stack":"notes","new":{"a":"` + canary + `"}}`,
		"no schema":      `{"stack":"notes"}`,
		"unknown key":    `{"schema":1,"` + canary + `":1}`,
		"wrong type":     `{"schema":1,"env":{"A":"` + canary + `!"}}`,
		"two values":     `{"schema":1,"host":"alpha","stack":"notes","epoch":3} {}`,
		"not JSON":       canary,
		"nothing inside": "",
	} {
		foreign, err := agekey.Encrypt(secret.NewString(plain), alpha.Recipient)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Open(foreign, alpha, notes)
		if err == nil || strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Error(), "sealed/alpha/notes.age: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCurrentKnowsWithoutAKey(t *testing.T) {
	alpha := mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	if !Current(sealed, inputsFor(alpha)) {
		t.Error("a fresh seal is not current")
	}
	changes := map[string]func(*Inputs){
		"epoch":        func(in *Inputs) { in.Placement.Epoch++ },
		"host":         func(in *Inputs) { in.Placement.Host = "beta" },
		"recipient":    func(in *Inputs) { in.Recipients = []string{mustKey(t).Recipient} },
		"a secret":     func(in *Inputs) { in.Parts["secrets/notes.env"] = []byte("other") },
		"one more":     func(in *Inputs) { in.Parts["secrets/token"] = nil },
		"none":         func(in *Inputs) { in.Parts = nil },
		"moved border": func(in *Inputs) { in.Parts = map[string][]byte{"secrets/notes.envc": []byte("iphertext")} },
	}
	for name, change := range changes {
		in := inputsFor(alpha)
		change(&in)
		if Current(sealed, in) {
			t.Errorf("%s changed, and the seal still counts as current", name)
		}
	}
	for name, damaged := range map[string][]byte{"none": nil, "cut off": sealed[:40], "text": []byte(canary)} {
		if Current(damaged, inputsFor(alpha)) {
			t.Errorf("%s: current", name)
		}
	}
}

// A digest put there by somebody without the key makes the host refuse the file.
func TestTheDigestCannotBeExchanged(t *testing.T) {
	alpha := mustKey(t)
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(agekey.Dearmored(mustSeal(t, inputsFor(alpha)))); err != nil {
		t.Fatal(err)
	}
	other := inputsFor(alpha)
	other.Parts = nil
	forged := bytes.Replace(raw.Bytes(), []byte(inputsFor(alpha).Digest()), []byte(other.Digest()), 1)
	if !Current(forged, other) {
		t.Fatal("the test does not forge what it means to")
	}
	if _, err := Open(forged, alpha, notes); err == nil {
		t.Error("a file with an exchanged digest was opened")
	}
}

func TestTamperingIsNoticedAtEveryByte(t *testing.T) {
	alpha := mustKey(t)
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(agekey.Dearmored(mustSeal(t, inputsFor(alpha)))); err != nil {
		t.Fatal(err)
	}
	for i := range raw.Bytes() {
		changed := bytes.Clone(raw.Bytes())
		changed[i] ^= 1
		if _, err := Open(changed, alpha, notes); err == nil || strings.Contains(err.Error(), canary) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestSealRefusesWhatIsNoRecipient(t *testing.T) {
	for name, rs := range map[string][]string{"none": nil, "a secret key": {string(mustKey(t).Secret.Reveal())}} {
		_, err := Seal(content(), Inputs{Placement: notes, Recipients: rs})
		if err == nil || strings.Contains(err.Error(), "AGE-SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	good, _ := json.Marshal(content())
	f.Add(good)
	f.Add([]byte(`{"schema":1,"env":{"A":"aA=="}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := decode(data)
		if err != nil {
			return
		}
		again, err := json.Marshal(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decode(again); err != nil {
			t.Errorf("does not read its own writing: %v", err)
		}
	})
}

func FuzzRecorded(f *testing.F) {
	f.Add(mustSeal(f, inputsFor(mustKey(f))))
	f.Add([]byte("age-encryption.org/v1\n-> salvor-inputs \n"))
	f.Fuzz(func(t *testing.T, data []byte) { recorded(data) })
}

// TestS25AHostHasAnX25519Key seals for what would start a plugin on the operator's
// computer.
func TestS25AHostHasAnX25519Key(t *testing.T) {
	in := inputsFor(mustKey(t))
	in.Recipients = []string{"age1xyz1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"}
	if _, err := Seal(agentapi.SealedFile{}, in); err == nil || !strings.Contains(err.Error(), "X25519") {
		t.Errorf("Seal() = %v, want it refused", err)
	}
}
