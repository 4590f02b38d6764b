// Package suggest names the known word that a misspelt one was meant to be.
package suggest

import (
	"slices"
	"strings"
)

// DidYouMean returns `, did you mean "x"?` for the known word that Nearest finds, or ""
// when there is none.
func DidYouMean(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
		return `, did you mean "` + best + `"?`
	}
	return ""
}

// Nearest returns the known word nearest to a misspelt one, the first of them in the
// alphabet, or "" when none is near enough: two edits, or a third of the word's length.
func Nearest(word string, known []string) string {
	return Within(word, known, max(2, len(word)/3))
}

// Within returns the known word nearest to another one, the first of them in the
// alphabet, or "" when none is as near as this many edits. Of two that are equally near
// it is the one that the word begins.
func Within(word string, known []string, edits int) string {
	best, least := "", edits+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		d := Distance(word, k)
		longer := d == least && d <= edits && strings.HasPrefix(k, word) && !strings.HasPrefix(best, word)
		if (d < least || longer) && d < len(k) {
			best, least = k, d
		}
	}
	return best
}

// Distance counts insertions, deletions, substitutions and swaps of
// neighbours (optimal string alignment) between a and b.
func Distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	before, prev, cur := make([]int, len(t)+1), make([]int, len(t)+1), make([]int, len(t)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(s); i++ {
		cur[0] = i
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(t)]
}
