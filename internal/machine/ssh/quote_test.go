package ssh

import "testing"

func FuzzQuote(f *testing.F) {
	f.Add("it's", "a b\n$x")
	f.Add("\\", "\xff")
	f.Fuzz(func(t *testing.T, a, b string) {
		if got := unquote(quote([]string{a, b})); len(got) != 2 || got[0] != a || got[1] != b {
			t.Errorf("%q, %q became %q", a, b, got)
		}
	})
}

// unquote reads single quotes and backslashes as POSIX 2.2 does.
func unquote(line string) []string {
	var words []string
	word, inWord, inQuotes := "", false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case inQuotes && c == '\'':
			inQuotes = false
		case inQuotes:
			word += line[i : i+1]
		case c == '\'':
			inQuotes, inWord = true, true
		case c == '\\':
			i++
			word += line[i : i+1]
		case c == ' ' && inWord:
			words, word, inWord = append(words, word), "", false
		}
	}
	return append(words, word)
}
