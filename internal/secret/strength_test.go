package secret

import (
	"encoding/base64"
	"encoding/hex"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestWeak(t *testing.T) {
	for _, weak := range []string{
		"", "hunter2", "correct horse battery staple", "CorrectHorseBatteryStaple", "Sommer2024!Sommer2024!", "01234567890123456789",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", strings.Repeat("password-", 12), "abc123abc123abc123abc123abc123", "x7$kQ9!pL2#mN8", "  Zx8!qW3@eR7#tY1  ",
	} {
		if !Weak(NewString(weak)) {
			t.Errorf("%q counts as strong", weak)
		}
	}
	// The same random bytes in every run: what is asked is a share, and of a million
	// passwords in each of these forms none was taken for weak. (Of those with 18
	// bytes in base64, one in a thousand is: the bound that Weak is allows for it.)
	random := rand.NewChaCha8([32]byte{})
	for range 1000 {
		b := make([]byte, 32)
		random.Read(b)
		for _, strong := range []string{hex.EncodeToString(b), base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b[:24]) + "\n"} {
			if Weak(NewString(strong)) {
				t.Errorf("%q counts as weak", strong)
			}
		}
	}
	if Weak(NewString("pilot-amber-cactus-rinse-delta-moth")) {
		t.Error("six words of a list count as weak")
	}
}
