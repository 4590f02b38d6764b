package project

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/google/go-cmp/cmp"
)

// What hosts have keeps its bytes: another quoting of the same value would count as a
// change, and its services would start again.
func TestQuoteEnv(t *testing.T) {
	for value, want := range map[string]string{
		"":            `''`,
		"plain":       `'plain'`,
		"$HOME \"x\"": `'$HOME "x"'`,
		"two\nlines":  "'two\nlines'",
		"it's $5":     `"it's \$5"`,
		`c:\dir\`:     `"c:\\dir\\"`,
		`'"\`:         `"'\"\\"`,
	} {
		if got := QuoteEnv(value); got != want {
			t.Errorf("%q = %s, want %s", value, got, want)
		}
	}
}

// FuzzComposeReadsTheValueAsItWas decodes with Compose's own parser.
func FuzzComposeReadsTheValueAsItWas(f *testing.F) {
	for _, v := range []string{"", "plain", "a b # c", `it's`, `"q"`, "$HOME ${X} $$", `back\slash`, `end\`, `\'`, `\"`, `\$x`, `\n`, "two\nlines", "'\n$'", "\ttab ", "ü", "\r", `\\`, `'\0101'`} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if !utf8.ValidString(value) || strings.Contains(value, "\x00") {
			return
		}
		file := "A=" + QuoteEnv(value) + "\nB=" + QuoteEnv("after") + "\n"
		got, err := dotenv.UnmarshalWithLookup(file, func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatalf("%q: %v", file, err)
		}
		if diff := cmp.Diff(map[string]string{"A": value, "B": "after"}, got); diff != "" {
			t.Errorf("%q: %s", file, diff)
		}
	})
}
