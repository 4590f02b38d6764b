package sign

import (
	"slices"
	"strings"
	"testing"
)

func TestSigners(t *testing.T) {
	a, b := newKey(t).Public(), newKey(t).Public()
	written := Keys{a, b}.Signers("home")
	if want := "home " + string(a) + "\nhome " + string(b) + "\n"; string(written) != want {
		t.Errorf("written %q", written)
	}
	got, err := ParseSigners([]byte("# the fleet\n\n" + string(written) + "home " + string(newKey(t).Public()) + " the next one\r\n"))
	if err != nil || len(got) != 3 || !slices.Equal(got[:2], Keys{a, b}) {
		t.Errorf("read %q, %v", got, err)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	if err := (Keys{Public(string(a) + " comment")}).Check(); err == nil {
		t.Error("a key with a comment is taken for one without")
	}
	for name, bad := range map[string]string{
		"no principal": string(a), "twice": string(written) + "home " + string(a) + "\n",
		"options": `home namespaces="file" ` + string(a), "another kind": "home ssh-rsa AAAA", "no key": "home",
	} {
		if ks, err := ParseSigners([]byte(bad)); err == nil || !strings.HasPrefix(err.Error(), "line ") {
			t.Errorf("%s: %q, %v", name, ks, err)
		}
	}
}

func FuzzParseSigners(f *testing.F) {
	f.Add([]byte("home " + string(newKey(f).Public()) + "\n"))
	f.Add([]byte("# nothing\n\nhome cert-authority ssh-ed25519 AAAA\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ks, err := ParseSigners(data)
		if err != nil {
			return
		}
		if again, err := ParseSigners(ks.Signers("home")); err != nil || !slices.Equal(again, ks) || ks.Check() != nil {
			t.Errorf("%q reads as %q: %v", ks, again, err)
		}
	})
}
