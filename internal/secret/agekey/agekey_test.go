package agekey

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"salvor/internal/secret"
)

const (
	canary    = "hunter2-canary"
	fastLogN  = 10 // scrypt as cheap as a test may have it
	rightPass = "correct horse battery staple"
)

func mustKey(t testing.TB) Key {
	t.Helper()
	k, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// program returns the path of a real program, or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("SALVOR_LAB") == "require" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func run(t *testing.T, stdin []byte, argv ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v: %s", argv, err, stderr.Bytes())
	}
	return out
}

func write(t *testing.T, path string, content []byte) string {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// protected writes an identity file behind rightPass, cheaply.
func protected(t *testing.T, key Key) string {
	t.Helper()
	content, err := protect(key.IdentityFile(), secret.NewString(rightPass), fastLogN)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), "home.age"), content)
}

func answer(s string) func(int) (secret.Value, error) { return One(secret.NewString(s)) }

func TestTheAgeProgramReadsWhatWeWriteAndTheReverse(t *testing.T) {
	age := program(t, "age")
	key := mustKey(t)
	identity := write(t, filepath.Join(t.TempDir(), "id"), key.IdentityFile().Reveal())

	ours, err := Encrypt(secret.NewString(canary), key.Recipient, mustKey(t).Recipient)
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, ours, age, "-d", "-i", identity); string(got) != canary {
		t.Errorf("age read %q", got)
	}
	for name, flags := range map[string][]string{"binary": nil, "armored": {"-a"}} {
		theirs := run(t, []byte(canary), append([]string{age, "-r", key.Recipient}, flags...)...)
		got, err := Decrypt("theirs", theirs, key)
		if err != nil || string(got.Reveal()) != canary {
			t.Errorf("%s: read %q, %v", name, got.Reveal(), err)
		}
	}
}

func TestTheAgeProgramReadsAProtectedIdentity(t *testing.T) {
	age, script := program(t, "age"), program(t, "script")
	key := mustKey(t)
	path := filepath.Join(t.TempDir(), "cfg", "salvor", "home.age")
	if err := Create(path, key, secret.NewString(rightPass), 0); err != nil {
		t.Fatal(err)
	}
	// age asks for a passphrase on a terminal only; script makes one.
	out := filepath.Join(t.TempDir(), "plain")
	run(t, []byte(rightPass+"\n"), script, "-qec", age+" -d -o "+out+" "+path, "/dev/null")
	got, err := os.ReadFile(out)
	if err != nil || !bytes.Equal(got, key.IdentityFile().Reveal()) {
		t.Errorf("age did not read the identity back: %v", err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(Dearmored(content))
	if err != nil || !regexp.MustCompile(`(?m)^-> scrypt \S+ 18$`).Match(raw) {
		t.Errorf("a guess of the passphrase costs less than age's own would: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v; want 0600", info.Mode(), err)
	}
}

func TestOpenIsLazyAndAsksOnce(t *testing.T) {
	key := mustKey(t)
	asked := 0
	f, err := Open(protected(t, key), FileOptions{Passphrase: func(int) (secret.Value, error) {
		asked++
		return secret.NewString(rightPass), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if !f.Protected() || asked != 0 {
		t.Errorf("protected %v, asked %d times before it was needed", f.Protected(), asked)
	}
	sealed, _ := Encrypt(secret.NewString(canary), key.Recipient)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if v, err := Decrypt("x", sealed, f); err != nil || string(v.Reveal()) != canary {
				t.Errorf("decrypt: %v", err)
			}
		})
	}
	wg.Wait()
	if asked != 1 {
		t.Errorf("asked %d times, want once", asked)
	}
}

func TestWhatCannotBeUnlocked(t *testing.T) {
	key := mustKey(t)
	path := protected(t, key)
	sealed, _ := Encrypt(secret.NewString(canary), key.Recipient)
	cases := map[string]FileOptions{
		"wrong passphrase": {Passphrase: answer("wrong-" + canary)},
		"empty passphrase": {Passphrase: answer("")},
		"nobody to ask":    {},
		"asking fails":     {Passphrase: func(int) (secret.Value, error) { return secret.Value{}, errors.New("no terminal") }},
	}
	for name, opts := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := Open(path, opts)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Decrypt("x", sealed, f)
			wantLocked(t, err)
		})
	}
	t.Run("no identity file", func(t *testing.T) {
		_, err := Open(filepath.Join(t.TempDir(), "none"), FileOptions{})
		wantLocked(t, err)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v does not wrap fs.ErrNotExist", err)
		}
	})
	t.Run("another key", func(t *testing.T) {
		_, err := Decrypt("x", sealed, mustKey(t))
		wantLocked(t, err)
	})
}

func wantLocked(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, secret.ErrLocked) {
		t.Errorf("%v does not wrap secret.ErrLocked", err)
	}
	if err != nil && strings.Contains(err.Error(), canary) {
		t.Errorf("the error shows a secret: %v", err)
	}
}

// TestAWrongPassphraseIsAskedForAgain until the file opens or there is none left, and an
// empty line is one of the wrong ones.
func TestAWrongPassphraseIsAskedForAgain(t *testing.T) {
	t.Parallel()
	path := protected(t, mustKey(t))
	for want, typed := range map[string][]string{
		"":                    {"wrong", "", rightPass, "never asked"},
		"wrong passphrase":    {"wrong", "", "wrong again"},
		"no passphrase given": {""},
	} {
		asked := 0
		f, err := Open(path, FileOptions{Passphrase: func(wrong int) (secret.Value, error) {
			if asked++; wrong != asked-1 {
				t.Errorf("asked %d times, told of %d wrong ones", asked, wrong)
			}
			if wrong == len(typed) {
				return secret.Value{}, ErrNoOther
			}
			return secret.NewString(typed[wrong]), nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.Identities()
		if want == "" && (err != nil || asked != 3) {
			t.Errorf("%q: %v after %d", typed, err, asked)
		} else if want != "" && (!errors.Is(err, secret.ErrLocked) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %s", typed, err, want)
		}
	}
}

func TestAnUnprotectedIdentityWorksAndSaysSo(t *testing.T) {
	key := mustKey(t)
	path := filepath.Join(t.TempDir(), "home.age")
	if err := Create(path, key, secret.Value{}, fastLogN); err != nil {
		t.Fatal(err)
	}
	f, err := Open(path, FileOptions{})
	if err != nil || f.Protected() {
		t.Fatalf("protected %v, %v", f.Protected(), err)
	}
	if _, err := f.Identities(); err != nil {
		t.Error(err)
	}
	if err := f.Protect(secret.NewString(rightPass)); err != nil {
		t.Fatal(err)
	}
	again, _ := Open(path, FileOptions{Passphrase: answer(rightPass)})
	if _, err := again.Identities(); err != nil || !again.Protected() {
		t.Errorf("after Protect: protected %v, %v", again.Protected(), err)
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "home.age")
	if err := Create(path, mustKey(t), secret.Value{}, fastLogN); err != nil {
		t.Fatal(err)
	}
	before, _ := os.ReadFile(path)
	if err := Create(path, mustKey(t), secret.Value{}, fastLogN); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v, want fs.ErrExist", err)
	}
	if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
		t.Error("the identity was replaced")
	}
}

func TestHostIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "host.age")
	first, err := EnsureHost(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := EnsureHost(path)
	if err != nil || first != again {
		t.Errorf("second call: %q, %v; want %q", again, err, first)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := EnsureHost(path); err == nil {
		t.Error("an identity that other users can read was accepted")
	}
	broken := write(t, filepath.Join(t.TempDir(), "host.age"), []byte("AGE-SECRET-KEY-1"+canary))
	_, err = EnsureHost(broken)
	wantLocked(t, err)
	if kept, _ := os.ReadFile(broken); !strings.Contains(string(kept), canary) {
		t.Error("a damaged identity was replaced")
	}
}

func TestRecovery(t *testing.T) {
	operator, other, recovery := mustKey(t), mustKey(t), mustKey(t)
	sealed, err := SealRecovery(recovery, operator.Recipient, other.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []Key{operator, other} {
		got, err := OpenRecovery(sealed, k)
		if err != nil || got.Recipient != recovery.Recipient || !bytes.Equal(got.Secret.Reveal(), recovery.Secret.Reveal()) {
			t.Errorf("OpenRecovery: %+v, %v", got, err)
		}
	}
	_, err = OpenRecovery(sealed, recovery)
	wantLocked(t, err)
	if _, err := SealRecovery(recovery); err == nil {
		t.Error("sealed to nobody")
	}
	typed, err := ParseKey(recovery.Secret)
	if err != nil || typed.Recipient != recovery.Recipient {
		t.Errorf("ParseKey: %+v, %v", typed, err)
	}
}

func TestParseErrorsNameFileAndLineAndNothingElse(t *testing.T) {
	good := mustKey(t)
	recipients := map[string]string{
		"a secret key":    string(good.Secret.Reveal()),
		"some text":       canary,
		"cut off":         good.Recipient[:30],
		"one letter off":  good.Recipient[:20] + flip(good.Recipient[20]) + good.Recipient[21:],
		"post-quantum":    "age1pq1" + canary,
		"SSH":             "ssh-ed25519 AAAA" + canary,
		"plugin, damaged": "age1yubikey1" + canary,
	}
	for name, line := range recipients {
		_, err := ParseRecipients("hosts/a.pub", []byte("# c\n"+good.Recipient+"\n"+line+"\n"))
		wantPosition(t, name, err, "hosts/a.pub:3: ", line)
	}
	identities := map[string]string{
		"a recipient": good.Recipient,
		"some text":   canary,
		"cut off":     string(good.Secret.Reveal()[:40]),
		"plugin":      "AGE-PLUGIN-YUBIKEY-1" + canary,
	}
	for name, line := range identities {
		_, err := ParseIdentities("id", []byte(line+"\n"), nil)
		wantPosition(t, name, err, "id:1: ", line)
	}
	if _, err := ParseIdentities("id", []byte("# empty\n"), nil); err == nil {
		t.Error("an empty identity file was accepted")
	}
	if _, err := ParseRecipients("r", nil); err == nil {
		t.Error("an empty recipients file was accepted")
	}
}

func flip(b byte) string {
	if b == 'q' {
		return "p"
	}
	return "q"
}

func wantPosition(t *testing.T, name string, err error, prefix, hidden string) {
	t.Helper()
	if err == nil || !strings.HasPrefix(err.Error(), prefix) || strings.Contains(err.Error(), hidden) || strings.Contains(err.Error(), canary) {
		t.Errorf("%s: error %v; want %q and not the line itself", name, err, prefix)
	}
}

func TestTamperingIsNoticedAtEveryByte(t *testing.T) {
	key := mustKey(t)
	armored, err := Encrypt(secret.NewString(canary+strings.Repeat("x", 100)), key.Recipient)
	if err != nil {
		t.Fatal(err)
	}
	var raw bytes.Buffer
	if _, err := raw.ReadFrom(Dearmored(armored)); err != nil {
		t.Fatal(err)
	}
	for i := range raw.Bytes() {
		changed := bytes.Clone(raw.Bytes())
		changed[i] ^= 1
		wantRefused(t, key, changed)
	}
	for n := range raw.Len() {
		wantRefused(t, key, raw.Bytes()[:n])
	}
	wantRefused(t, key, append(bytes.Clone(raw.Bytes()), 'x'))
}

func wantRefused(t *testing.T, key Key, data []byte) {
	t.Helper()
	v, err := Decrypt("sealed/a/b.age", data, key)
	if err == nil || !v.IsZero() {
		t.Fatalf("%d bytes were accepted: %v", len(data), err)
	}
	if !strings.HasPrefix(err.Error(), "sealed/a/b.age: ") || strings.Contains(err.Error(), canary) {
		t.Errorf("error %q does not name the file, or shows a secret", err)
	}
}

func FuzzParseIdentities(f *testing.F) {
	f.Add([]byte("# c\nAGE-SECRET-KEY-1\n"))
	f.Add([]byte("AGE-PLUGIN-X-1QQ\r\n\n"))
	f.Add(mustKey(f).IdentityFile().Reveal())
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := ParseIdentities("id", data, nil)
		if err == nil && len(ids) == 0 {
			t.Error("no identities and no error")
		}
	})
}

func FuzzParseRecipients(f *testing.F) {
	f.Add([]byte("# c\nage1qqq\n"))
	f.Add([]byte(mustKey(f).Recipient + "\nage1yubikey1qqq"))
	f.Fuzz(func(t *testing.T, data []byte) {
		rs, err := ParseRecipients("r", data)
		if err != nil {
			return
		}
		for _, r := range rs {
			if _, err := ParseRecipient(r); err != nil {
				t.Errorf("%q was accepted in a file only: %v", r, err)
			}
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	key := mustKey(f)
	sealed, err := Encrypt(secret.NewString("x"), key.Recipient)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sealed)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := Decrypt("f", data, key); err != nil && !v.IsZero() {
			t.Error("plaintext beside an error")
		}
	})
}
