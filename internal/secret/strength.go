package secret

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Below these a password counts as one that a person chose. Ansible Vault's rounds
// make each try cost some 13 bits more; 72 bits and those are out of reach for years
// to come, and so they are behind age's scrypt, whose tries cost more.
const (
	leastLength   = 20
	leastDistinct = 8
	leastBits     = 72
)

// What a guesser pays for each part of a password, in bits. A word is one of a
// Diceware list's 7,776, however it is written; letters that make no word are one
// of 52, digits one of ten, anything else one of the 32 signs of a keyboard; what
// was there before is nearly free.
const (
	wordBits   = 13
	wordLength = 8 // longer runs of letters count as several words
	letterBits = 5.7
	digitBits  = 3.3
	signBits   = 5
	againBits  = 1
)

var parts = regexp.MustCompile(`(?s)\p{Lu}?\p{Ll}+|\p{Lu}+|\p{Nd}+|.`)

// Weak reports whether a password or passphrase looks like one that can be guessed. It is
// a bound and no estimate: it takes every run of letters for words, so it may warn
// of letters that are random (one in a thousand passwords of 24 random characters),
// and it never takes words for random ones. A password of `openssl rand -hex 32` or
// of `salvor secret rotate --generate` is not weak.
func Weak(password Value) bool {
	text := strings.TrimSpace(string(password.Reveal()))
	distinct := map[rune]bool{}
	for _, r := range text {
		distinct[r] = true
	}
	return utf8.RuneCountInString(text) < leastLength || len(distinct) < leastDistinct || bits(text) < leastBits
}

func bits(text string) (total float64) {
	seen := map[string]bool{}
	for _, part := range parts.FindAllString(text, -1) {
		first, _ := utf8.DecodeRuneInString(part)
		n := utf8.RuneCountInString(part)
		key := strings.ToLower(part)
		switch {
		case seen[key] && (n > 2 || !unicode.IsLetter(first) && !unicode.IsDigit(first)):
			total += againBits
		case unicode.IsLetter(first) && n > 2:
			total += wordBits * float64((n+wordLength-1)/wordLength)
		case unicode.IsLetter(first):
			total += letterBits * float64(n)
		case unicode.IsDigit(first):
			total += digitBits * float64(n)
		default:
			total += signBits
		}
		seen[key] = true
	}
	return total
}
