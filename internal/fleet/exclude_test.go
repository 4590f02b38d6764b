package fleet

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]string{ // what it matches of these
		"*.tmp":      "a.tmp thumbs/a.tmp",
		"/*.tmp":     "a.tmp",
		"thumbs":     "thumbs deep/thumbs",
		"/thumbs":    "thumbs",
		"thumbs/*":   "thumbs/a.tmp thumbs/b",
		"**/thumbs":  "thumbs deep/thumbs",
		"deep/**/x?": "deep/x1 deep/thumbs/x2",
		"[a-b]*":     "a.tmp thumbs/a.tmp thumbs/b",
		`\*`:         "*",
		"*":          "a.tmp thumbs thumbs/a.tmp thumbs/b deep deep/thumbs deep/x1 deep/thumbs/x2 *",
	} {
		if err := CheckPattern(pattern); err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		var got []string
		for _, rel := range strings.Fields(". a.tmp thumbs thumbs/a.tmp thumbs/b deep deep/thumbs deep/x1 deep/thumbs/x2 *") {
			if (Omission{Patterns: []string{pattern}}).Matches(rel) {
				got = append(got, rel)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s matches %q, want %q", pattern, got, want)
		}
	}
	for _, bad := range []string{"", "/", "!a", "a/", "a//b", "../a", "./a", "a/..", "[a", `a\`, `a\/b`, "a/**", "**", "**/a/**/b/**/c", "$HOME", " a", "a\nb", strings.Repeat("a", 2000)} {
		if CheckPattern(bad) == nil {
			t.Errorf("%q is taken for a pattern", bad)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("**/a*/b", "x/ab/b")
	f.Fuzz(func(t *testing.T, pattern, rel string) {
		if CheckPattern(pattern) == nil {
			(Omission{Patterns: []string{pattern}}).Matches(rel)
			if (Omission{Patterns: []string{pattern}}).Matches(".") {
				t.Errorf("%q matches the volume itself", pattern)
			}
		}
	})
}
