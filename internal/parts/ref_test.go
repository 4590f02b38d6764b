package parts

import (
	"strings"
	"testing"

	"salvor/internal/fault"
)

func TestParseRef(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"3f2a":               "3f2a:/",
		"3f2a:":              "3f2a:/",
		"3f2a:/data/a:b":     "3f2a:/data/a:b",
		"latest:/data/../..": "latest:/",
		"/data/x/":           ":/data/x",
		"/data/a:/b":         ":/data/a:/b",
		"3f2a:data":          "is not a place in a snapshot",
		"xyz:/data":          "is not the id of a snapshot",
		"3F2A":               "is not the id of a snapshot",
		"":                   "an empty word",
		":":                  "is not a place in a snapshot",
	} {
		got, err := ParseRef(text)
		if err == nil && got.String() != want || err != nil && (!strings.Contains(err.Error(), want) || fault.Hint(err) == "") {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

// FuzzParseRef: what is read names the same place again, and none outside of the snapshot.
func FuzzParseRef(f *testing.F) {
	f.Add("3f2a:/data/photos")
	f.Add("latest:/../..")
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRef(text)
		if err != nil {
			return
		}
		if !strings.HasPrefix(r.Path, "/") || strings.Contains(r.Path+"/", "/../") {
			t.Errorf("%q leads to %q", text, r.Path)
		}
		if r.ID == "" {
			return
		}
		if again, err := ParseRef(r.String()); err != nil || again != r {
			t.Errorf("%q is %v, and that is %v, %v", text, r, again, err)
		}
	})
}
