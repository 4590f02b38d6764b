package repository

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"salvor/internal/blob"
	"salvor/internal/blob/blobtest"
	"salvor/internal/secret"
)

func testKey() masterKey {
	k := masterKey{Encrypt: []byte(strings.Repeat("e", 32))}
	k.MAC.K, k.MAC.R = []byte(strings.Repeat("k", 16)), []byte(strings.Repeat("r", 16))
	return k
}

func TestSealedContentOpensOnlyWhole(t *testing.T) {
	k := testKey()
	for _, plain := range []string{"", "x", strings.Repeat("long ", 1000)} {
		sealed, err := k.seal([]byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := k.open(sealed); err != nil || string(got) != plain {
			t.Fatalf("opens as %q, %v", got, err)
		}
		for _, at := range []int{ivSize, len(sealed) - 1} {
			damaged := append([]byte(nil), sealed...)
			damaged[at] ^= 1
			if _, err := k.open(damaged); !errors.Is(err, errMAC) {
				t.Errorf("byte %d flipped: %v", at, err)
			}
		}
		if _, err := k.open(sealed[:len(sealed)-1]); !errors.Is(err, errMAC) {
			t.Errorf("cut short: %v", err)
		}
	}
}

func TestKeyFileOpensWithItsPasswordOnly(t *testing.T) {
	k := testKey()
	content, err := k.keyFile(secret.NewString("right"), costOf(secret.NewString("right")), time.Unix(0, 0))
	if err != nil {
		t.Fatal(err)
	}
	f, err := parseKeyFile(content)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.unlock(secret.NewString("right"))
	if err != nil || string(got.Encrypt) != string(k.Encrypt) || string(got.MAC.R) != string(k.MAC.R) {
		t.Errorf("unlocks to another key, %v", err)
	}
	if _, err := f.unlock(secret.NewString("wrong")); !errors.Is(err, errMAC) {
		t.Errorf("wrong password: %v", err)
	}
}

// TestAChosenPasswordIsStretched: only one that can't be guessed opens at once.
func TestAChosenPasswordIsStretched(t *testing.T) {
	chosen, generated := costOf(secret.NewString("correct horse battery staple")), costOf(secret.NewString(strings.Repeat("k", 43)))
	if chosen.n*chosen.p < 100*generated.n*generated.p {
		t.Errorf("a chosen password costs %v, a generated one %v", chosen, generated)
	}
}

// TestCreateCutShortIsMadeAgain cuts the creation at every write.
func TestCreateCutShortIsMadeAgain(t *testing.T) {
	password := secret.NewString(strings.Repeat("k", 43))
	for _, lost := range []string{"config", "keys"} {
		store := &blobtest.Memory{}
		if err := Create(t.Context(), store, password); err != nil {
			t.Fatal(err)
		}
		if err := Create(t.Context(), store, password); !errors.Is(err, os.ErrExist) {
			t.Errorf("a second time: %v", err)
		}
		if lost == "keys" {
			remove(t, store, "keys")
		}
		if err := store.Delete(t.Context(), configName); err != nil {
			t.Fatal(err)
		}
		if err := Create(t.Context(), store, password); err != nil {
			t.Errorf("without %s: %v", lost, err)
		}
		r, err := Open(t.Context(), store, password, Spare{})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := r.Spare(t.Context()); err != nil || !s.Whole() {
			t.Errorf("without %s: made again, a file is missing, %v", lost, err)
		}
	}
}

func remove(t *testing.T, store blob.Store, folder string) {
	t.Helper()
	listed, err := store.List(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range listed {
		if err := store.Delete(t.Context(), folder+"/"+o.Path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestElements(t *testing.T) {
	for path, want := range map[string]string{"/": "", "/salvor/notes/.salvor": "salvor notes .salvor", "a//b/": "a b"} {
		if got := strings.Join(elements(path), " "); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func FuzzParseTree(f *testing.F) {
	f.Add([]byte(`{"nodes":[{"name":"a\\u00e4\\n","type":"file","mode":420,"mtime":"2026-01-01T00:00:00Z","uid":1,"size":3,"content":["00"],"extended_attributes":[{"name":"user.x","value":"eA=="}]}]}`))
	f.Add([]byte(`{"nodes":[{"name":"..","type":"dir"}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		nodes, err := parseTree(content)
		for _, n := range nodes {
			if err == nil && (n.Name == "" || n.Name == ".." || strings.Contains(n.Name, "/")) {
				t.Errorf("name %q", n.Name)
			}
		}
	})
}

func FuzzParseKeyFile(f *testing.F) {
	f.Add([]byte(`{"kdf":"scrypt","N":32768,"r":8,"p":5,"salt":"eA==","data":"eA=="}`))
	f.Add([]byte(`{"kdf":"scrypt","N":-1}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		k, err := parseKeyFile(content)
		if err == nil && k.N*k.R*128 > maxScrypt {
			t.Errorf("asks for %d bytes", k.N*k.R*128)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte("\x02(\xb5/\xfd\x04\x00\x11\x00\x00{}\x8e\x1e\x1c\x7a"))
	f.Fuzz(func(_ *testing.T, content []byte) {
		_, _ = decompress(content) // only must not panic or take all memory
	})
}
