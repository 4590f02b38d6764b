package seal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"salvor/internal/agentapi"
	"salvor/internal/secret"
	"salvor/internal/secret/agekey"
	"salvor/internal/sign"
	"salvor/internal/sign/signtest"
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

// fleetKey signs in these tests, and fleetKeys are what is trusted.
var fleetKey, fleetKeys = newSigner()

func newSigner() (sign.Key, sign.Keys) {
	k := signtest.NewKey()
	return k, sign.Keys{k.Public()}
}

func mustSeal(t testing.TB, in Inputs) Signed {
	t.Helper()
	sealed, err := Seal(content(), in, fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// signed is a file of whatever content with the fleet's signature, as for these inputs.
func signed(t testing.TB, file []byte, in Inputs) Signed {
	t.Helper()
	s, err := signFile(file, in.Placement.Path(), in.Digest(), fleetKey)
	if err != nil {
		t.Fatal(err)
	}
	return s
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
	if bytes.Contains(sealed.File, []byte(canary)) {
		t.Error("the sealed file shows a secret")
	}
	got, err := sealed.Open(fleetKeys, alpha, notes, inputsFor(alpha).Digest())
	if err != nil {
		t.Fatal(err)
	}
	want := content()
	want.Schema, want.Host, want.Stack, want.Epoch, want.Inputs = agentapi.Schema, "alpha", "notes", 3, inputsFor(alpha).Digest()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := sealed.Open(fleetKeys, beta, notes, ""); !errors.Is(err, secret.ErrLocked) {
		t.Errorf("another host: %v, want secret.ErrLocked", err)
	}
}

func TestTheAgeProgramReadsASealedFile(t *testing.T) {
	alpha := mustKey(t)
	var got agentapi.SealedFile
	if err := json.Unmarshal(decryptWithAge(t, mustSeal(t, inputsFor(alpha)).File, alpha), &got); err != nil {
		t.Fatal(err)
	}
	if got.Stack != "notes" || string(got.Env["A"]) != canary {
		t.Errorf("got %q", got.Stack)
	}
}

func TestOpenRefusesWhatIsForSomethingElse(t *testing.T) {
	alpha := mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	for name, c := range map[string]struct {
		want Placement
		err  error
	}{
		"another host":  {Placement{"beta", "notes", 3}, sign.ErrUntrusted},
		"another stack": {Placement{"alpha", "wiki", 3}, sign.ErrUntrusted},
		"older epoch":   {Placement{"alpha", "notes", 4}, ErrMismatch},
		"newer epoch":   {Placement{"alpha", "notes", 2}, ErrMismatch},
	} {
		if _, err := sealed.Open(fleetKeys, alpha, c.want, ""); !errors.Is(err, c.err) {
			t.Errorf("%s: %v, want %v", name, err, c.err)
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
		foreign, err := encrypt(secret.NewString(plain), inputsFor(alpha))
		if err != nil {
			t.Fatal(err)
		}
		_, err = signed(t, foreign, inputsFor(alpha)).Open(fleetKeys, alpha, notes, "")
		if err == nil || strings.Contains(err.Error(), canary) || !strings.HasPrefix(err.Error(), "sealed/alpha/notes.age: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCurrentKnowsWithoutAKey(t *testing.T) {
	alpha := mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	if err := sealed.Current(inputsFor(alpha), fleetKeys); err != nil {
		t.Errorf("a fresh seal: %v", err)
	}
	changes := map[string]func(*Inputs){
		"epoch":        func(in *Inputs) { in.Placement.Epoch++ },
		"recipient":    func(in *Inputs) { in.Recipients = []string{mustKey(t).Recipient} },
		"a secret":     func(in *Inputs) { in.Parts["secrets/notes.env"] = []byte("other") },
		"one more":     func(in *Inputs) { in.Parts["secrets/token"] = nil },
		"none":         func(in *Inputs) { in.Parts = nil },
		"moved border": func(in *Inputs) { in.Parts = map[string][]byte{"secrets/notes.envc": []byte("iphertext")} },
	}
	for name, change := range changes {
		in := inputsFor(alpha)
		change(&in)
		if err := sealed.Current(in, fleetKeys); !errors.Is(err, ErrStale) {
			t.Errorf("%s changed: %v", name, err)
		}
	}
	other := inputsFor(alpha)
	other.Placement.Host = "beta"
	if err := sealed.Current(other, fleetKeys); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("at another host's path: %v", err)
	}
	for name, damaged := range map[string][]byte{"none": nil, "cut off": sealed.File[:40], "text": []byte(canary)} {
		if err := (Signed{damaged, sealed.Signature}).Current(inputsFor(alpha), fleetKeys); !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS07ASealIsTheFleetsOrNone tries what who can push can do: encrypt something of
// their own to the host's public key behind the digest that everybody can copy or
// compute, with the signature of another seal, of another key or none.
func TestS07ASealIsTheFleetsOrNone(t *testing.T) {
	alpha := mustKey(t)
	in := inputsFor(alpha)
	sealed := mustSeal(t, in)
	forged, err := encrypt(secret.NewString(`{"schema":1,"host":"alpha","stack":"notes","epoch":3,"inputs":"`+in.Digest()+`"}`), in)
	if err != nil {
		t.Fatal(err)
	}
	eve, _ := newSigner()
	byEve, err := signFile(forged, notes.Path(), in.Digest(), eve)
	if err != nil {
		t.Fatal(err)
	}
	wiki := in
	wiki.Placement.Stack = "wiki"
	other := mustSeal(t, wiki)
	for name, s := range map[string]Signed{
		"no signature": {forged, nil}, "that of the seal before": {forged, sealed.Signature}, "eve's": byEve,
		"another stack's seal": other, "another stack's signature": {sealed.File, other.Signature}, "cut off": {sealed.File, sealed.Signature[:60]},
	} {
		if err := s.Current(in, fleetKeys); !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%s: it counts as current: %v", name, err)
		}
		if _, err := s.Open(fleetKeys, alpha, notes, in.Digest()); !errors.Is(err, sign.ErrUntrusted) {
			t.Errorf("%s: the host opens it: %v", name, err)
		}
	}
	if _, err := sealed.Open(nil, alpha, notes, ""); !errors.Is(err, sign.ErrUntrusted) {
		t.Errorf("a host that trusts no key opens it: %v", err)
	}
}

// TestS07AnOlderSealIsNotTheCommits: it has the fleet's signature, and other secrets.
func TestS07AnOlderSealIsNotTheCommits(t *testing.T) {
	alpha := mustKey(t)
	before, now := mustSeal(t, inputsFor(alpha)), inputsFor(alpha)
	now.Parts["secrets/notes.env"] = []byte("another ciphertext")
	if _, err := before.Open(fleetKeys, alpha, notes, now.Digest()); !errors.Is(err, ErrMismatch) {
		t.Errorf("the host opens it: %v", err)
	}
	if err := before.Current(now, fleetKeys); !errors.Is(err, ErrStale) {
		t.Errorf("it counts as current: %v", err)
	}
	// The content says it too: a signature over another digest in the header is not enough.
	plain, err := agekey.Decrypt("seal", before.File, alpha)
	if err != nil {
		t.Fatal(err)
	}
	file, err := encrypt(plain, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed(t, file, now).Open(fleetKeys, alpha, notes, now.Digest()); !errors.Is(err, ErrMismatch) {
		t.Errorf("content and header say different things: %v", err)
	}
}

// TestSSHChecksASeal is the format's own judge, with the program that everybody has.
func TestSSHChecksASeal(t *testing.T) {
	alpha, dir := mustKey(t), t.TempDir()
	in := inputsFor(alpha)
	sealed := mustSeal(t, in)
	for name, content := range map[string][]byte{"signers": fmt.Appendf(nil, "home %s\n", fleetKeys[0]), "sig": sealed.Signature} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for place, good := range map[string]bool{notes.Path() + " " + in.Digest(): true, notes.Path(): false} {
		c := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "signers"), "-I", "home", "-n", string(Kind), "-s", filepath.Join(dir, "sig"))
		c.Stdin = io.MultiReader(strings.NewReader("\""+place+"\"\n"), bytes.NewReader(sealed.File))
		if out, err := c.CombinedOutput(); (err == nil) != good {
			t.Errorf("%s: %v %s", place, err, out)
		}
	}
}

func TestTamperingIsNoticedAtEveryByte(t *testing.T) {
	alpha := mustKey(t)
	sealed := mustSeal(t, inputsFor(alpha))
	for i := range sealed.File {
		changed := Signed{bytes.Clone(sealed.File), sealed.Signature}
		changed.File[i] ^= 1
		if _, err := changed.Open(fleetKeys, alpha, notes, ""); err == nil || strings.Contains(err.Error(), canary) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
	}
}

func TestSealRefusesWhatIsNoRecipient(t *testing.T) {
	for name, rs := range map[string][]string{"none": nil, "a secret key": {string(mustKey(t).Secret.Reveal())}} {
		_, err := Seal(content(), Inputs{Placement: notes, Recipients: rs}, fleetKey)
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
	f.Add(mustSeal(f, inputsFor(mustKey(f))).File)
	f.Add([]byte("age-encryption.org/v1\n-> salvor-inputs \n"))
	f.Fuzz(func(t *testing.T, data []byte) { recorded(data) })
}

// TestS25AHostHasAnX25519Key seals for what would start a plugin on the operator's
// computer.
func TestS25AHostHasAnX25519Key(t *testing.T) {
	in := inputsFor(mustKey(t))
	in.Recipients = []string{"age1xyz1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"}
	if _, err := Seal(agentapi.SealedFile{}, in, fleetKey); err == nil || !strings.Contains(err.Error(), "X25519") {
		t.Errorf("Seal() = %v, want it refused", err)
	}
}
