package sign

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"salvor/internal/secret"
)

func newKey(t testing.TB) Key {
	t.Helper()
	private, err := NewKey("test")
	if err != nil {
		t.Fatal(err)
	}
	k, err := ParseKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestASignatureCountsForWhatItSays(t *testing.T) {
	k, other := newKey(t), newKey(t)
	signature, err := k.Sign("claim", "claims/app/3", []byte("beta"))
	if err != nil {
		t.Fatal(err)
	}
	trusted := Keys{other.Public(), k.Public()}
	if by, err := trusted.Verify("claim", "claims/app/3", []byte("beta"), signature); err != nil || by != k.Public() {
		t.Errorf("what was signed: by %q, %v", by, err)
	}
	for name, c := range map[string]struct {
		trusted              Keys
		kind                 Kind
		place, message, sign string
	}{
		"another key":     {Keys{other.Public()}, "claim", "claims/app/3", "beta", string(signature)},
		"no key":          {nil, "claim", "claims/app/3", "beta", string(signature)},
		"another kind":    {trusted, "seal", "claims/app/3", "beta", string(signature)},
		"another place":   {trusted, "claim", "claims/app/4", "beta", string(signature)},
		"another message": {trusted, "claim", "claims/app/3", "eve", string(signature)},
		"place moved":     {trusted, "claim", "claims/app/3\"\nbeta", "", string(signature)},
		"no signature":    {trusted, "claim", "claims/app/3", "beta", ""},
		"cut":             {trusted, "claim", "claims/app/3", "beta", string(signature[:len(signature)/2])},
	} {
		if _, err := c.trusted.Verify(c.kind, c.place, []byte(c.message), []byte(c.sign)); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpenSSHChecksIt is the format's own judge.
func TestOpenSSHChecksIt(t *testing.T) {
	k, dir := newKey(t), t.TempDir()
	signature, err := k.Sign("salvor-claim", "place", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"signers": "fleet " + string(k.Public()) + "\n", "sig": string(signature)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for message, good := range map[string]bool{"\"place\"\ncontent": true, "\"place\"\nother": false} {
		c := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-f", filepath.Join(dir, "signers"), "-I", "fleet", "-n", "salvor-claim", "-s", filepath.Join(dir, "sig"))
		c.Stdin = strings.NewReader(message)
		if out, err := c.CombinedOutput(); (err == nil) != good {
			t.Errorf("%q: %v %s", message, err, out)
		}
	}
}

func TestAnEnvelope(t *testing.T) {
	k := newKey(t)
	data, err := k.Enclose("fact", "facts/app/1", []byte("{\"a\": \"ü<\"}\n"))
	if err != nil {
		t.Fatal(err)
	}
	content, by, err := Keys{k.Public()}.Open("fact", "facts/app/1", data)
	if err != nil || by != k.Public() || string(content) != "{\"a\": \"ü<\"}\n" {
		t.Errorf("opened %q by %q: %v", content, by, err)
	}
	for name, bad := range map[string][]byte{
		"empty": nil, "clear": []byte(`{"a": 1}`), "more": append(bytes.Clone(data), '1'),
		"another schema": bytes.Replace(data, []byte(`"schema": 1`), []byte(`"schema": 2`), 1),
		"changed":        bytes.Replace(data, []byte("ü"), []byte("u"), 1),
	} {
		if _, _, err := (Keys{k.Public()}).Open("fact", "facts/app/1", bad); !errors.Is(err, ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPublicKeys(t *testing.T) {
	k := newKey(t)
	if p, err := ParsePublic(string(k.Public()) + " a comment\n"); err != nil || p != k.Public() || !strings.HasPrefix(p.Fingerprint(), "SHA256:") {
		t.Errorf("%q %q %v", p, p.Fingerprint(), err)
	}
	for _, bad := range []string{"", "ssh-rsa AAAA", `command="x" ` + string(k.Public()), string(k.Public()) + "\n" + string(k.Public())} {
		if p, err := ParsePublic(bad); err == nil {
			t.Errorf("%q is %q", bad, p)
		}
	}
	if _, err := ParseKey(secret.NewString("hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("parse: %v", err)
	}
	if _, err := (Key{}).Sign("claim", "x", []byte("")); err == nil {
		t.Error("no key signs")
	}
}

func FuzzOpen(f *testing.F) {
	k := newKey(f)
	good, err := k.Enclose("fact", "a", []byte("content"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":1,"content":"x","signature":"-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		content, _, err := Keys{k.Public()}.Open("fact", "a", data)
		if err == nil && string(content) != "content" || err != nil && !errors.Is(err, ErrUntrusted) {
			t.Errorf("%q: %v", content, err)
		}
	})
}
